import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Serves a route's handler over HTTP on loopback. */
export async function serveHandler(
  handle: (request: Request) => Promise<Response>,
): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(async (incoming, outgoing) => {
    const { method, headers, url } = incoming;
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const response = await handle(
      new Request(`http://${headers.host}${url}`, {
        method,
        headers: headers as Record<string, string>,
        body: method === 'GET' ? undefined : Buffer.concat(chunks),
      }),
    );
    outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
