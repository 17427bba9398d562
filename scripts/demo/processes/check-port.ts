import { connect, createServer } from 'node:net';
import { DemoError } from '../demo-error.ts';

/** Throws a `DemoError` if the port cannot be listened on. `flag` is the option that sets another port. */
export async function checkPort(port: number, flag: string): Promise<void> {
  const inUse = new DemoError(
    `Port ${port} is in use. End the program that listens there, or choose another port: npm run demo -- ${flag} ${port + 1}`,
  );
  // On some systems a program may listen on this address although another listens on all addresses.
  if (await answers(port)) throw inUse;
  const code = await listen(port);
  if (code === 'EADDRINUSE') throw inUse;
  if (code === 'EACCES') {
    throw new DemoError(`This user may not listen on port ${port}. Choose one above 1023 with ${flag}.`);
  }
  if (code !== null) throw new DemoError(`Port ${port} cannot be listened on: ${code}.`);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 });
    const end = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
  });
}

/** Returns the error's code; null if the port can be listened on. */
function listen(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(null)));
  });
}
