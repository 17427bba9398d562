import { type AddressInfo, createServer, type Socket } from 'node:net';

/** The servers of one test file. Call `closeAll` in `afterEach`. */
export interface Loopback {
  /** Listens on a free port and passes each connection to `onSocket`. Returns the URL. */
  serve(onSocket: (socket: Socket) => void): Promise<string>;
  /** Reads a request up to the end of its body, then calls `answer` with it, once per connection. */
  answering(answer: (socket: Socket, raw: string) => void): Promise<string>;
  closeAll(): Promise<void>;
}

/** Opens plain sockets on 127.0.0.1, so that a test controls every byte and every reset. */
export function loopback(): Loopback {
  const closers: (() => Promise<void>)[] = [];
  const serve: Loopback['serve'] = async (onSocket) => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
      onSocket(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(
      () =>
        new Promise((resolve) => {
          for (const socket of sockets) socket.destroy();
          server.close(() => resolve());
        }),
    );
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  return {
    serve,
    answering: (answer) =>
      serve((socket) => {
        let raw = '';
        let answered = false;
        socket.on('data', (chunk) => {
          raw += chunk.toString('utf8');
          if (answered || !isWhole(raw)) return;
          answered = true;
          answer(socket, raw);
        });
      }),
    async closeAll() {
      for (const close of closers.splice(0)) await close();
    },
  };
}

/** Returns an HTTP response as it goes over the wire. Its headers announce that the connection closes. */
export function httpAnswer(status: number, body: string, headers: Record<string, string> = {}): string {
  const lines = { 'content-length': String(Buffer.byteLength(body)), connection: 'close', ...headers };
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Said\r\n${head.join('')}\r\n${body}`;
}

function isWhole(raw: string): boolean {
  const end = raw.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = /content-length: (\d+)/i.exec(raw)?.[1];
  return Buffer.byteLength(raw.slice(end + 4)) >= Number(length ?? 0);
}
