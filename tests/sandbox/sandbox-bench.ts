import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from 'vitest';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../lib/sandbox/sandbox.ts';

export const apiKey = { 'x-api-key': 'sandbox-key' };
export const accessToken = { authorization: 'Bearer sandbox-token' };

interface Call {
  url: string;
  headers: IncomingHttpHeaders;
  raw: string;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape, for assertions
  body: any;
}

/** The sandboxes of one file, and listeners for their webhooks. All are closed after each test. */
export function sandboxBench() {
  const closers: (() => Promise<unknown>)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0)) await close();
  };
  afterEach(closeAll);

  async function start(options?: SandboxOptions): Promise<Sandbox> {
    const sandbox = await startSandbox(options);
    closers.unshift(() => sandbox.close());
    return sandbox;
  }

  /** Starts a sandbox that calls its webhooks soon. */
  const startWith = (webhooks: SandboxOptions['webhooks'], options: SandboxOptions = {}) =>
    start({ webhooks: { delayMs: [1, 5], pauseMs: 5, ...webhooks }, ...options });

  /** Receives webhooks. Responds with the next status, and with the last one from then on; null cuts the connection. */
  async function listen(...statuses: (number | null)[]) {
    const calls: Call[] = [];
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const raw = Buffer.concat(chunks).toString('utf8');
      const status = statuses[Math.min(calls.length, statuses.length - 1)] ?? null;
      calls.push({ url: request.url ?? '', headers: request.headers, raw, body: JSON.parse(raw) });
      if (status === null) response.destroy();
      else response.writeHead(status).end('heard');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    });
    return { calls, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` };
  }

  return { start, startWith, listen, closeAll };
}

/** Sends a form with the key. Returns the status, or null if the connection was lost. */
async function sendForm(url: string, fields: [string, string | Blob][], signal?: AbortSignal) {
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  return fetch(url, { method: 'POST', body, headers: apiKey, signal }).then(
    (response) => response.status,
    () => null,
  );
}

/** Sends a text to a chat over Unipile. */
export const sendText = (
  { url }: Pick<Sandbox, 'url'>,
  text: string,
  chat = 'acc1__ada',
  signal?: AbortSignal,
) => sendForm(`${url}/api/v1/chats/${chat}/messages`, [['text', text]], signal);

/** Publishes a post over Unipile. */
export const publish = ({ url }: Sandbox, text: string, files: Blob[] = [], account = 'acc1') =>
  sendForm(`${url}/api/v1/posts`, [
    ['account_id', account],
    ['text', text],
    ...files.map((file): [string, Blob] => ['attachments', file]),
  ]);

/** Sends a WhatsApp message: a text or any content. */
export async function sendWhatsapp(
  { url }: Sandbox,
  message: string | object,
  to: object = { to: '+4915100000001' },
) {
  const content = typeof message === 'string' ? { type: 'text', text: { body: message } } : message;
  const response = await fetch(`${url}/v23.0/1001/messages`, {
    method: 'POST',
    headers: accessToken,
    body: JSON.stringify({
      messaging_product: 'whatsapp',
      biz_opaque_callback_data: 'dm_queue/7/c1',
      ...to,
      ...content,
    }),
  });
  const body = await response.json();
  return { status: response.status, code: body.error?.code ?? null, body };
}

/** Posts JSON to a path of the sandbox itself. */
export const post = ({ url }: Sandbox, path: string, body: unknown) =>
  fetch(`${url}${path}`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });

/** Reads JSON, with the key. */
// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape, for assertions
export const read = async ({ url }: Pick<Sandbox, 'url'>, path: string): Promise<any> =>
  (await fetch(`${url}${path}`, { headers: { ...apiKey, 'cache-control': 'no-cache' } })).json();
