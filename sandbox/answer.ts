import type { ServerResponse } from 'node:http';

/** An HTTP answer of the sandbox; a string or bytes are sent as they are, anything else as JSON. */
export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body: unknown;
}

export function writeAnswer(response: ServerResponse, answer: Answer): void {
  const { text, headers } = encode(answer);
  if (response.destroyed) return;
  response.writeHead(answer.status, headers).end(text);
}

/** The same answer, one byte a second: a provider that is neither dead nor alive. */
export function trickleAnswer(response: ServerResponse, answer: Answer): void {
  const { text, headers } = encode(answer);
  if (response.destroyed) return;
  const bytes = Buffer.from(text);
  response.writeHead(answer.status, { ...headers, 'content-length': String(bytes.length) });
  response.flushHeaders();
  let sent = 0;
  const timer = setInterval(() => {
    response.write(bytes.subarray(sent, sent + 1));
    sent += 1;
    if (sent === bytes.length) response.end();
  }, 1000);
  response.on('close', () => clearInterval(timer));
}

/** The whole of it one byte a second, the status line first: not even the headers come before a client's patience ends. */
export function dripRaw(response: ServerResponse, answer: Answer): void {
  const { text, headers } = encode(answer);
  const { socket } = response;
  if (!socket || response.destroyed) return;
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(text)) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const bytes = Buffer.concat([
    Buffer.from(`HTTP/1.1 ${answer.status} OK\r\n${head}connection: close\r\n\r\n`),
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

function encode({ headers, body }: Answer): { text: string | Buffer; headers: Record<string, string> } {
  if (Buffer.isBuffer(body)) return { text: body, headers: { ...headers } };
  return typeof body === 'string'
    ? { text: body, headers: { 'content-type': 'text/plain; charset=utf-8', ...headers } }
    : { text: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
}
