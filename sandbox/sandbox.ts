import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { trickleAnswer, writeAnswer } from './answer';
import { type Chat, type Delivery, DeliveryLog, logJson, type Reply, type Send } from './delivery-log';
import { type Fault, type FaultSettings, Faults, faultSettings } from './faults';
import { People, type PeopleSettings } from './people';
import { readBody } from './read-body';
import type { Reading, Shape } from './shapes/shape';
import { MAX_POST_BYTES, postShape, showPost } from './shapes/unipile-posts-shape';
import { readUnipile, unipileShape } from './shapes/unipile-shape';
import { isUnipileV2, readUnipileV2, shapeV2 } from './shapes/unipile-v2-shape';
import { readWhatsapp, whatsappShape } from './shapes/whatsapp-shape';
import { Sites } from './sites';
import { type WebhookSettings, Webhooks } from './webhooks';

export interface SandboxOptions extends Partial<FaultSettings> {
  /** 0, the default, takes a free one. */
  port?: number;
  /** 127.0.0.1 unless given. */
  host?: string;
  /** The same seed and messages give the same faults. 1 unless given. */
  seed?: number;
  /** Told of each message when its turn came. */
  onTurn?: (send: Send, fate: Fault['kind'], taken: boolean) => void;
  /** Whom to tell what became of messages. Nobody unless given. */
  webhooks?: WebhookSettings;
  /** Accounts for which nothing goes wrong by chance. */
  steady?: string[];
  /** Refuses a WhatsApp text to somebody who has not written for 24 hours, as WhatsApp does. False unless given. */
  enforceWindow?: boolean;
  /** Who answers what they are sent. Nobody unless given. */
  people?: PeopleSettings;
}

export interface Sandbox {
  url: string;
  /** What was really delivered, oldest first. */
  deliveries(): Delivery[];
  /** What people wrote, oldest first. */
  replies(): Reply[];
  /** Somebody writes, of their own accord. */
  write(chat: Chat, text: string): Reply;
  /** Stops listening and cuts every connection. Messages whose turn has not come are not taken, and no webhook is sent any more. */
  close(): Promise<void>;
}

const HTML = {
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8' },
  body: '<!doctype html><title>Welcome</title>',
};

const ABOUT = `This is Punctual's sandbox: it stands in for Unipile and the WhatsApp Cloud API, and sends nothing.
GET  /deliveries   what it really took, as JSON
GET  /replies      what people wrote, as JSON; POST {provider, account, recipient, text}, or a list of them, to have somebody write
GET  /faults       how often it fails, and the accounts that it refuses; POST the same JSON, or part of it, to change that
GET  /media/any-name.png   a very small picture, for posts
GET  /sites/ok/any-name    a site to be monitored; others than ok are slow, closed, down, gone, moved, loop, silent, drip, flapping, recovering
docs/sandbox.md says which keys it takes, and what a text can ask for.
`;

const writing = z.strictObject({
  provider: z.enum(['unipile', 'whatsapp-cloud']),
  account: z.string().min(1),
  recipient: z.string().min(1),
  text: z.string().min(1),
});
const writings = z.union([writing.transform((one) => [one]), z.array(writing)]);

const MAX_BODY_BYTES = 1024 * 1024;

/** One pixel. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

/**
 * A provider over real HTTP. Without options it answers at once and nothing fails.
 *
 * A message is taken at the end of its latency, whether or not the client is still there, as a real
 * provider would: a client that gives up early cannot know. One whose body did not arrive in full is not.
 * @throws when the port cannot be listened on (`code` is `EADDRINUSE`)
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
    const reply = log.hear(chat, text);
    webhooks.announceReply(reply);
    return reply;
  }

  function queueTurn({ send, shape, refusal }: Extract<Reading, { send: Send }>, response: ServerResponse) {
    const { waitMs, fault } = faults.next(send, refusal !== null);
    const timer = setTimeout(() => {
      waiting.delete(timer);
      options.onTurn?.(send, fault.kind, fault.taken);
      const delivery = fault.taken ? log.take(send) : null;
      // A post is announced to nobody.
      if (delivery?.kind === 'message') {
        webhooks.announce(delivery);
        people.read(delivery);
      }
      if (refusal) writeAnswer(response, refusal);
      else answerTurn(response, shape, fault, delivery);
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
      return writeAnswer(response, (provider === 'unipile v2' ? shapeV2(shape) : shape).tooLong());
    }
    if (provider) {
      const header = (name: string) => request.headers[name]?.toString();
      const asked = { method, url, header, body };
      const reading =
        provider === 'whatsapp'
          ? readWhatsapp(asked, log, options.enforceWindow ?? false)
          : await (provider === 'unipile v2' ? readUnipileV2 : readUnipile)(asked, log);
      if ('answer' in reading) return writeAnswer(response, reading.answer);
      return queueTurn(reading, response);
    }
    if (url.pathname.startsWith('/sites/')) return sites.answer(url.pathname, response);
    if (url.pathname === '/faults') return answerFaults(method, body, faults, webhooks, response);
    if (method === 'POST' && url.pathname === '/replies') return answerWriting(body, write, response);
    const logged =
      url.pathname === '/deliveries' ? log.all() : url.pathname === '/replies' ? log.replies() : null;
    if (method === 'GET' && logged) {
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      return void Readable.from(logJson(logged)).pipe(response);
    }
    if (method === 'GET' && /^\/media\/[\w-]+\.png$/.test(url.pathname))
      return writeAnswer(response, { status: 200, headers: { 'content-type': 'image/png' }, body: PNG });
    const shownPost = /^\/feed\/update\/([\w:]+)$/.exec(url.pathname)?.[1];
    if (method === 'GET' && shownPost) return writeAnswer(response, showPost(shownPost, log));
    if (method === 'GET' && url.pathname === '/') return writeAnswer(response, { status: 200, body: ABOUT });
    writeAnswer(response, { status: 404, body: 'The sandbox has nothing here.\n' });
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      writeAnswer(response, { status: 500, body: `The sandbox itself failed: ${String(error)}\n` });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;

  return {
    url: `http://${host}:${taken}`,
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

/** `delivery` is there whenever the fault says that the message is taken. */
function answerTurn(response: ServerResponse, shape: Shape, fault: Fault, delivery: Delivery | null): void {
  switch (fault.kind) {
    case 'none':
      if (delivery) writeAnswer(response, shape.accepted(delivery));
      break;
    case 'trickle':
      if (delivery) trickleAnswer(response, shape.accepted(delivery));
      break;
    case 'rate limited':
      writeAnswer(response, shape.rateLimited(fault.seconds));
      break;
    case 'limited':
      writeAnswer(response, shape.limited(fault.limit));
      break;
    case 'restricted':
      writeAnswer(response, shape.restricted());
      break;
    case 'disconnected':
      writeAnswer(response, shape.disconnected());
      break;
    case 'error':
      writeAnswer(response, shape.failed());
      break;
    case 'html':
      writeAnswer(response, HTML);
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

/** Who is disconnected, or connected again, is told of by webhook. */
function answerFaults(
  method: string,
  body: Buffer,
  faults: Faults,
  webhooks: Webhooks,
  response: ServerResponse,
): void {
  if (method === 'POST') {
    const parsed = faultSettings.partial().safeParse(parseJson(body));
    if (!parsed.success) {
      writeAnswer(response, { status: 400, body: { issues: parsed.error.issues } });
      return;
    }
    const before = faults.settings.disconnected;
    faults.settings = { ...faults.settings, ...parsed.data };
    const after = faults.settings.disconnected;
    for (const account of after) if (!before.includes(account)) webhooks.announceStatus(account, false);
    for (const account of before) if (!after.includes(account)) webhooks.announceStatus(account, true);
  }
  writeAnswer(response, { status: 200, body: faults.settings });
}

function answerWriting(body: Buffer, write: Sandbox['write'], response: ServerResponse): void {
  const { data, error } = writings.safeParse(parseJson(body));
  const answer = data
    ? { status: 201, body: data.map(({ text, ...chat }) => write(chat, text)) }
    : { status: 400, body: { issues: error.issues } };
  writeAnswer(response, answer);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}
