import type { ServerResponse } from 'node:http';

/** An HTTP response of the sandbox. Strings and bytes are sent unchanged, other bodies as JSON. */
export interface SandboxResponse {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

export function writeResponse(response: ServerResponse, content: SandboxResponse): void {
  const { text, headers } = encode(content);
  if (response.destroyed) return;
  response.writeHead(content.status, headers).end(text);
}

/** Sends the headers at once and the body one byte a second, as a provider that hangs halfway. */
export function trickleResponse(response: ServerResponse, content: SandboxResponse): void {
  const { text, headers } = encode(content);
  if (response.destroyed) return;
  const bytes = Buffer.from(text);
  response.writeHead(content.status, { ...headers, 'content-length': String(bytes.length) });
  response.flushHeaders();
  let sent = 0;
  const timer = setInterval(() => {
    response.write(bytes.subarray(sent, sent + 1));
    sent += 1;
    if (sent === bytes.length) response.end();
  }, 1000);
  response.on('close', () => clearInterval(timer));
}

/** Sends everything one byte a second, including the status line, so that a client times out before it has the headers. */
export function dripResponse(response: ServerResponse, content: SandboxResponse): void {
  const { text, headers } = encode(content);
  const { socket } = response;
  if (!socket || response.destroyed) return;
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(text)) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const bytes = Buffer.concat([
    Buffer.from(`HTTP/1.1 ${content.status} OK\r\n${head}connection: close\r\n\r\n`),
    Buffer.from(text),
  ]);
  let sent = 0;
  const timer = setInterval(() => {
    socket.write(bytes.subarray(sent, sent + 1));
    sent += 1;
    if (sent === bytes.length) socket.end();
  }, 1000);
  socket.on('close', () => clearInterval(timer));
}

function encode({ headers, body }: SandboxResponse): {
  text: string | Buffer;
  headers: Record<string, string>;
} {
  if (Buffer.isBuffer(body)) return { text: body, headers: { ...headers } };
  return typeof body === 'string'
    ? { text: body, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers } }
    : { text: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
}
