import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { type Chat, type Delivery, DeliveryLog, logJson, type Reply, type Send } from './delivery-log.ts';
import { type Fault, type FaultSettings, Faults, faultSettings } from './faults.ts';
import { People, type PeopleSettings } from './people.ts';
import { readBody } from './read-body.ts';
import { trickleResponse, writeResponse } from './response.ts';
import type { ParsedRequest, Shape } from './shapes/shape.ts';
import { MAX_POST_BYTES, postShape, showPost } from './shapes/unipile-posts-shape.ts';
import { readUnipile, unipileShape } from './shapes/unipile-shape.ts';
import { isUnipileV2, readUnipileV2, shapeV2 } from './shapes/unipile-v2-shape.ts';
import { readWhatsapp, whatsappShape } from './shapes/whatsapp-shape.ts';
import { Sites } from './sites.ts';
import { type WebhookSettings, Webhooks } from './webhooks.ts';

export { SANDBOX_API_KEY } from './shapes/unipile-shape.ts';
export { SANDBOX_ACCESS_TOKEN } from './shapes/whatsapp-shape.ts';

export interface SandboxOptions extends Partial<FaultSettings> {
  /** 0, the default, takes a free port. */
  port?: number;
  /** 127.0.0.1 by default. */
  host?: string;
  /** The same seed and messages give the same faults. 1 by default. */
  seed?: number;
  /** Called for each message at its turn. */
  onTurn?: (send: Send, fate: Fault['kind'], taken: boolean) => void;
  /** The webhooks to call. None by default. */
  webhooks?: WebhookSettings;
  /** Accounts without faults by chance. */
  steady?: string[];
  /** Refuses a WhatsApp text to a person who has not written for 24 hours, as WhatsApp does. False by default. */
  enforceWindow?: boolean;
  /** The people who reply. None by default. */
  people?: PeopleSettings;
}

export interface Sandbox {
  url: string;
  /** All deliveries, oldest first. */
  deliveries(): Delivery[];
  /** All messages that people wrote, oldest first. */
  replies(): Reply[];
  /** Makes a person write. */
  write(chat: Chat, text: string): Reply;
  /** Stops listening and closes every connection. Messages that wait for their turn are not delivered, and no more webhooks are sent. */
  close(): Promise<void>;
}

const HTML = {
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8' },
  body: '<!doctype html><title>Welcome</title>',
};

const ABOUT = `This is Punctual's sandbox. It replaces Unipile and the WhatsApp Cloud API, and sends nothing.
GET  /deliveries   the delivered messages and posts, as JSON
GET  /replies      the messages that people wrote, as JSON; POST {provider, account, recipient, text}, or a list of them, to make people write
GET  /faults       how often it fails, and the accounts that it refuses; POST the same JSON, or part of it, to change them
GET  /media/any-name.png   a very small picture, for posts
GET  /sites/ok/any-name    a site to monitor; instead of ok: slow, closed, down, gone, moved, loop, silent, drip, flapping, recovering
docs/sandbox.md lists the keys that it accepts, and the directives that a text can contain.
`;

const replyInput = z.strictObject({
  provider: z.enum(['unipile', 'whatsapp-cloud']),
  account: z.string().min(1),
  recipient: z.string().min(1),
  text: z.string().min(1),
});
const replyInputs = z.union([replyInput.transform((one) => [one]), z.array(replyInput)]);

const MAX_BODY_BYTES = 1024 * 1024;

/** A picture of one pixel. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

/**
 * Starts the providers over real HTTP. Without options they respond at once, and nothing fails.
 *
 * A message is delivered at the end of its latency, even if the client has gone, as by a real provider. So a client that times out early cannot
 * know whether it was. A message whose body did not arrive in full is not delivered. Rejects if the port cannot be listened on (`code` is
 * `EADDRINUSE`).
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const {
    port = 0,
    host = '127.0.0.1',
    seed = 1,
    latencyMs = [0, 0],
    rateLimited = 0,
    lost = 0,
    restricted = [],
    disconnected = [],
  } = options;
  const log = new DeliveryLog();
  const faults = new Faults(
    seed,
    faultSettings.parse({ latencyMs, rateLimited, lost, restricted, disconnected }),
    options.steady,
  );
  const webhooks = new Webhooks(options.webhooks ?? {});
  const people = new People(seed, options.people ?? { shares: [] }, write);
  const sites = new Sites();
  const waiting = new Set<NodeJS.Timeout>();

  function write(chat: Chat, text: string): Reply {
    const reply = log.addReply(chat, text);
    webhooks.announceReply(reply);
    return reply;
  }

  function queueTurn(
    { send, shape, refusal }: Extract<ParsedRequest, { send: Send }>,
    response: ServerResponse,
  ) {
    const { waitMs, fault } = faults.next(send, refusal !== null);
    const timer = setTimeout(() => {
      waiting.delete(timer);
      options.onTurn?.(send, fault.kind, fault.taken);
      const delivery = fault.taken ? log.take(send) : null;
      // Providers send no events of posts.
      if (delivery?.kind === 'message') {
        webhooks.announce(delivery);
        people.read(delivery);
      }
      if (refusal) writeResponse(response, refusal);
      else respondWithFate(response, shape, fault, delivery);
    }, waitMs);
    waiting.add(timer);
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const url = new URL(`http://sandbox${request.url?.startsWith('/') ? request.url : '/'}`);
    const isPost = method === 'POST' && /^\/(api\/v1|v2\/[^/]+)\/posts\/?$/.test(url.pathname);
    const body = await readBody(request, isPost ? MAX_POST_BYTES : MAX_BODY_BYTES);
    if (body === null) return void response.destroy();
    const provider = providerOf(url.pathname);
    if (body === 'too long') {
      const shape = isPost ? postShape(unipileShape) : provider === 'whatsapp' ? whatsappShape : unipileShape;
      return writeResponse(response, (provider === 'unipile v2' ? shapeV2(shape) : shape).tooLong());
    }
    if (provider) {
      const header = (name: string) => request.headers[name]?.toString();
      const providerRequest = { method, url, header, body };
      const parsed =
        provider === 'whatsapp'
          ? readWhatsapp(providerRequest, log, options.enforceWindow ?? false)
          : await (provider === 'unipile v2' ? readUnipileV2 : readUnipile)(providerRequest, log);
      if ('response' in parsed) return writeResponse(response, parsed.response);
      return queueTurn(parsed, response);
    }
    if (url.pathname.startsWith('/sites/')) return sites.respond(url.pathname, response);
    if (url.pathname === '/faults') return serveFaults(method, body, faults, webhooks, response);
    if (method === 'POST' && url.pathname === '/replies') return serveReplies(body, write, response);
    const logged =
      url.pathname === '/deliveries' ? log.all() : url.pathname === '/replies' ? log.replies() : null;
    if (method === 'GET' && logged) {
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      return void Readable.from(logJson(logged)).pipe(response);
    }
    if (method === 'GET' && /^\/media\/[\w-]+\.png$/.test(url.pathname))
      return writeResponse(response, { status: 200, headers: { 'content-type': 'image/png' }, body: PNG });
    const shownPost = /^\/feed\/update\/([\w:]+)$/.exec(url.pathname)?.[1];
    if (method === 'GET' && shownPost) return writeResponse(response, showPost(shownPost, log));
    if (method === 'GET' && url.pathname === '/')
      return writeResponse(response, { status: 200, body: ABOUT });
    writeResponse(response, { status: 404, body: 'The sandbox has nothing here.\n' });
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      writeResponse(response, {
        status: 500,
        body: `The sandbox failed by a fault of its own: ${String(error)}\n`,
      });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const { port: actualPort } = server.address() as AddressInfo;

  return {
    url: `http://${host}:${actualPort}`,
    deliveries: () => [...log.all()],
    replies: () => [...log.replies()],
    write,
    close: () =>
      new Promise((resolve) => {
        for (const timer of waiting) clearTimeout(timer);
        people.close();
        webhooks.close();
        sites.close();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** `delivery` is null only if the fault says that the message is not delivered. */
function respondWithFate(
  response: ServerResponse,
  shape: Shape,
  fault: Fault,
  delivery: Delivery | null,
): void {
  switch (fault.kind) {
    case 'none':
      if (delivery) writeResponse(response, shape.accepted(delivery));
      break;
    case 'trickle':
      if (delivery) trickleResponse(response, shape.accepted(delivery));
      break;
    case 'rate limited':
      writeResponse(response, shape.rateLimited(fault.seconds));
      break;
    case 'limited':
      writeResponse(response, shape.limited(fault.limit));
      break;
    case 'restricted':
      writeResponse(response, shape.restricted());
      break;
    case 'disconnected':
      writeResponse(response, shape.disconnected());
      break;
    case 'error':
      writeResponse(response, shape.failed());
      break;
    case 'html':
      writeResponse(response, HTML);
      break;
    case 'dropped':
      response.destroy();
      break;
    case 'hang':
    case 'refused':
      break;
  }
}

function providerOf(path: string): 'unipile' | 'unipile v2' | 'whatsapp' | null {
  if (path.startsWith('/api/v1/')) return 'unipile';
  if (isUnipileV2(path)) return 'unipile v2';
  return /^\/v\d/.test(path) ? 'whatsapp' : null;
}

/** Shows or changes the faults. Sends webhooks for accounts that become disconnected or connected. */
function serveFaults(
  method: string,
  body: Buffer,
  faults: Faults,
  webhooks: Webhooks,
  response: ServerResponse,
): void {
  if (method === 'POST') {
    const parsed = faultSettings.partial().safeParse(parseJson(body));
    if (!parsed.success) {
      writeResponse(response, { status: 400, body: { issues: parsed.error.issues } });
      return;
    }
    const before = faults.settings.disconnected;
    faults.settings = { ...faults.settings, ...parsed.data };
    const after = faults.settings.disconnected;
    for (const account of after) if (!before.includes(account)) webhooks.announceStatus(account, false);
    for (const account of before) if (!after.includes(account)) webhooks.announceStatus(account, true);
  }
  writeResponse(response, { status: 200, body: faults.settings });
}

function serveReplies(body: Buffer, write: Sandbox['write'], response: ServerResponse): void {
  const { data, error } = replyInputs.safeParse(parseJson(body));
  const content = data
    ? { status: 201, body: data.map(({ text, ...chat }) => write(chat, text)) }
    : { status: 400, body: { issues: error.issues } };
  writeResponse(response, content);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}
