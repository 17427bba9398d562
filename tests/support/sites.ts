import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';

export interface SiteRequest {
  method: string;
  url: string;
  headers: NodeJS.Dict<string | string[]>;
}

export interface Site {
  /** `127.0.0.1:<port>` */
  host: string;
  port: number;
  requests: SiteRequest[];
  /** Counts open connections. Waits up to 0.2 s for there to be none. */
  openConnections(): Promise<number>;
}

export interface Sites {
  /** Listens on 127.0.0.1, over TLS if `certificate` names one of tests/fixtures/certificates. */
  serve(
    respond: RequestListener,
    certificate?: string,
    /** Called with the server name that each client sends in the TLS handshake, or false without one. */
    onName?: (name: string | false) => void,
  ): Promise<Site>;
  /** Call it in `afterEach`. */
  closeAll(): Promise<void>;
}

const certificates = new URL('../fixtures/certificates/', import.meta.url);
const read = (file: string) => readFileSync(new URL(file, certificates), 'utf8');

/** The authority that signs the certificates of sites. */
export const testAuthority = read('ca.crt');

/** Starts and closes the sites of one test file. */
export function sites(): Sites {
  const closers: (() => Promise<void>)[] = [];
  return {
    async serve(respond, certificate, onName) {
      const requests: SiteRequest[] = [];
      const listener: RequestListener = (request, response) => {
        const { method = '', url = '', headers } = request;
        requests.push({ method, url, headers });
        respond(request, response);
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
      return { host: `127.0.0.1:${port}`, port, requests, openConnections: () => openConnections(server) };
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
