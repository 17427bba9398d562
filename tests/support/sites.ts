import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';

export interface Asked {
  method: string;
  url: string;
  headers: NodeJS.Dict<string | string[]>;
}

export interface Site {
  /** `127.0.0.1:<port>` */
  host: string;
  port: number;
  asked: Asked[];
  /** Connections that are open; waits a moment for none. */
  openConnections(): Promise<number>;
}

export interface Sites {
  /** Listens on 127.0.0.1; over TLS with a certificate of tests/fixtures/certificates. */
  serve(
    answer: RequestListener,
    certificate?: string,
    /** Hears the name that each client asks a certificate for; false for none. */
    onName?: (name: string | false) => void,
  ): Promise<Site>;
  /** `closeAll` belongs into `afterEach`. */
  closeAll(): Promise<void>;
}

const certificates = new URL('../fixtures/certificates/', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, certificates), 'utf8');

/** The authority that signs the certificates of sites. */
export const testAuthority = read('ca.crt');

/** Sites of one test file. */
export function sites(): Sites {
  const closers: (() => Promise<void>)[] = [];
  return {
    async serve(answer, certificate, onName) {
      const asked: Asked[] = [];
      const listener: RequestListener = (request, response) => {
        const { method = '', url = '', headers } = request;
        asked.push({ method, url, headers });
        answer(request, response);
      };
      const server = certificate
        ? createTlsServer({ key: read('server.key'), cert: read(`${certificate}.crt`) }, listener)
        : createServer(listener);
      server.on('secureConnection', ({ servername }: TLSSocket) => onName?.(servername as string | false));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closers.push(
        () =>
          new Promise((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      );
      const { port } = server.address() as AddressInfo;
      return { host: `127.0.0.1:${port}`, port, asked, openConnections: () => openConnections(server) };
    },
    async closeAll() {
      for (const close of closers.splice(0)) await close();
    },
  };
}

async function openConnections(server: Server): Promise<number> {
  for (let tries = 0; ; tries += 1) {
    const open = await new Promise<number>((resolve) =>
      server.getConnections((_error, count) => resolve(count)),
    );
    if (open === 0 || tries === 20) return open;
    await sleep(10);
  }
}
