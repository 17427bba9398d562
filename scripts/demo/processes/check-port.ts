import { connect, createServer } from 'node:net';
import { DemoError } from '../demo-error';

/** Throws a `DemoError` when the port cannot be listened on; `flag` is the option that names another. */
export async function checkPort(port: number, flag: string): Promise<void> {
  const inUse = new DemoError(
    `Port ${port} is in use. End what listens there, or give another one: npm run demo -- ${flag} ${port + 1}`,
  );
  // Where a program listens on all addresses, some systems still let another listen on this one.
  if (await answers(port)) throw inUse;
  const code = await listen(port);
  if (code === 'EADDRINUSE') throw inUse;
  if (code === 'EACCES') {
    throw new DemoError(`Port ${port} is not open to this user: give one above 1023 with ${flag}.`);
  }
  if (code !== null) throw new DemoError(`Port ${port} cannot be listened on: ${code}.`);
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.once('timeout', () => end(false));
  });
}

/** Null where it can be done, else why not. */
function listen(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(null)));
  });
}
