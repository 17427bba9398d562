import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Answer } from '../answer';
import type { Delivery, DeliveryLog, Reply } from '../delivery-log';
import { decodePart } from './decode-part';
import type { Asked, Form, Reading, Shape } from './shape';
import { chatId, readUnipile, unipileShape } from './unipile-shape';

/** What v2 calls the errors of v1. */
const errorTypes = new Map([
  ['errors/missing_credentials', 'api/missing_authorization'],
  ['errors/invalid_parameters', 'api/invalid_parameters'],
  ['errors/missing_parameters', 'api/invalid_parameters'],
  ['errors/content_too_large', 'api/invalid_parameters'],
  ['errors/resource_not_found', 'provider/resource_not_found'],
  ['errors/too_many_requests', 'api/too_many_requests'],
  ['errors/account_restricted', 'api/account_restricted'],
  ['errors/disconnected_account', 'provider/invalid_authorization'],
  ['errors/unexpected_error', 'api/internal_error'],
]);

/** Whether a path is below `/v2/`; WhatsApp's versions have a point. */
export const isUnipileV2 = (path: string) => path.startsWith('/v2/');

/** Reads a request below `/v2` as Unipile's API v2 would: as v1 does, said otherwise. */
export async function readUnipileV2(asked: Asked, log: DeliveryLog): Promise<Reading> {
  const translated = toV1(asked);
  if ('status' in translated) return { answer: translated };
  const reading = await readUnipile(translated, log);
  const host = asked.header('host') ?? 'sandbox';
  if ('send' in reading) {
    const { send, shape, refusal } = reading;
    return { send, shape: shapeV2(shape, host), refusal: refusal && toV2(refusal) };
  }
  const unknownPerson = reading.answer.status === 404 && /\/users\/[^/]+\/chat$/.test(asked.url.pathname);
  const answer = unknownPerson
    ? { status: 200, body: { object: 'UserChat', data: [] } }
    : toV2(reading.answer, asked);
  // It keeps no copies, but says so of whatever was not asked to be none.
  const isCopy = asked.method === 'GET' && asked.header('cache-control') !== 'no-cache';
  return { answer: { ...answer, headers: { ...answer.headers, 'x-cache': isCopy ? 'HIT' : 'MISS' } } };
}

/** The answers of v2 to what is sent. */
export function shapeV2(shape: Shape, host = 'sandbox'): Shape {
  return {
    accepted: (delivery) =>
      delivery.kind === 'post'
        ? { status: 201, body: shownPost(delivery, host) }
        : { ...shape.accepted(delivery), status: 200 },
    rateLimited: (seconds) => toV2(shape.rateLimited(seconds)),
    // The network's limit has no time, and v2 has no limit for one person.
    limited: (limit) =>
      limit === 'limit'
        ? error(429, 'provider/too_many_requests', 'Too many requests')
        : error(422, 'provider/unprocessable_entity', 'The person cannot be written to again yet'),
    restricted: () => toV2(shape.restricted()),
    disconnected: () => toV2(shape.disconnected()),
    failed: () => toV2(shape.failed()),
    tooLong: () => toV2(shape.tooLong()),
  };
}

export const unipileV2Shape = shapeV2(unipileShape);

const error = (status: number, type: string, title: string, headers?: Record<string, string>): Answer => ({
  status,
  headers,
  body: { object: 'Error', type, status, title, detail: 'Said by the sandbox.', req_id: 'req-sandbox' },
});

const file = z.object({ filename: z.string(), content_type: z.string(), content: z.base64() });
const sent = z.object({
  text: z.string(),
  users_ids: z.union([z.string(), z.tuple([z.string()]).transform(([only]) => only)]).optional(),
  attachments: z.array(file).default([]),
});

/** The same request to v1, or why there is none. */
function toV1(asked: Asked): Asked | Answer {
  const [account = '', ...rest] = asked.url.pathname.split('/').slice(2);
  const path = pathV1(asked.method, account, rest);
  if (path === null) return error(404, 'api/resource_not_found', 'Not found');
  const query = new URLSearchParams(readCursor(asked.url.searchParams));
  query.set('account_id', decodePart(account));
  const url = new URL(`/api/v1${path}?${query}`, asked.url);
  if (asked.method !== 'POST') return { ...asked, url };
  const isJson = asked.header('content-type')?.startsWith('application/json');
  const { data } = sent.safeParse(isJson ? parseJson(asked.body) : null);
  if (!data) return error(400, 'api/invalid_parameters', 'The body is not what is expected');
  const form: Form = {
    fields: new Map([
      ['account_id', decodePart(account)],
      ['text', data.text],
      ...(data.users_ids ? [['attendees_ids', data.users_ids] as const] : []),
    ]),
    files: data.attachments.map(({ content_type, content }) => ({
      field: 'attachments',
      contentType: content_type,
      bytes: Buffer.from(content, 'base64').length,
    })),
  };
  return { ...asked, url, form };
}

function pathV1(method: string, account: string, rest: string[]): string | null {
  const [first, id = '', last, end] = rest;
  const path = rest.join('/');
  const chat = first === 'chats' && last === 'messages';
  if (method === 'POST') {
    if (chat && end === 'send') return `/chats/${id}/messages`;
    return path === 'chats/send' ? '/chats' : path === 'posts' ? '/posts' : null;
  }
  if (chat && end === undefined) return `/chats/${id}/messages`;
  if (first === 'users' && last === 'chat') return `/chat_attendees/${id}/chats`;
  if (first === 'users' && last === 'posts') return `/users/${id === 'me' ? `self-of-${account}` : id}/posts`;
  return path === 'chats' || path === 'users/me' || (first === 'posts' && rest.length === 2)
    ? `/${path}`
    : null;
}

/** A cursor bears the query that it began with, and nothing comes beside it. */
const writeCursor = (query: URLSearchParams, cursor: string) =>
  Buffer.from(
    JSON.stringify([...query].filter(([name]) => name !== 'cursor').concat([['cursor', cursor]])),
  ).toString('base64url');

function readCursor(query: URLSearchParams): [string, string][] {
  const cursor = query.get('cursor');
  return cursor === null ? [...query] : JSON.parse(Buffer.from(cursor, 'base64url').toString());
}

/** What of v1's answers is said otherwise. */
interface Said {
  object?: string;
  type?: string;
  title?: string;
  items?: Said[];
  cursor?: string | null;
  id?: string;
  is_sender?: number;
  attendee_provider_id?: string;
  social_id?: string;
  share_url?: string;
  parsed_datetime?: string;
  text?: string;
  provider_id?: string;
}

/** An answer of v1, as v2 says it. */
function toV2({ status, headers, body: said }: Answer, asked?: Asked): Answer {
  const body = said as Said;
  if (body.type) {
    return error(
      status,
      errorTypes.get(body.type) ?? 'provider/unprocessable_entity',
      body.title ?? '',
      headers,
    );
  }
  const query = new URLSearchParams(asked && readCursor(asked.url.searchParams));
  const isOfPerson = /\/users\/[^/]+\/chat$/.test(asked?.url.pathname ?? '');
  switch (body.object) {
    case 'ChatList':
    case 'MessageList':
    case 'PostList':
      return {
        status,
        body: {
          object: body.object,
          data: (body.items ?? []).map((item) =>
            isOfPerson ? { chat_id: item.id } : toV2({ status, body: item }).body,
          ),
          ...(body.cursor && { next_cursor: writeCursor(query, body.cursor) }),
        },
      };
    case 'Chat':
      return {
        status,
        body: { object: 'Chat', id: body.id, type: '1to1', user_id: body.attendee_provider_id },
      };
    case 'Message':
      return { status, body: { ...body, is_sender: Boolean(body.is_sender), is_event: false } };
    case 'Post':
      return {
        status,
        body: {
          object: 'Post',
          id: body.social_id,
          share_url: body.share_url,
          created_at: body.parsed_datetime,
          text: body.text,
          is_repost: false,
        },
      };
    case 'AccountOwnerProfile':
      return { status, body: { object: 'UserProfile', id: body.provider_id, type: 'individual' } };
    default:
      return { status, headers, body };
  }
}

const shownPost = (post: Delivery, host: string) => ({
  object: 'Post',
  id: post.id,
  share_url: `http://${host}/feed/update/${post.id}`,
  created_at: post.at,
  text: post.text,
  is_repost: false,
});

/** The event `message.new`. */
export const newMessageEvent = (entry: Delivery | Reply) =>
  event(entry.account, 'message.new', {
    object: 'Message',
    id: entry.id,
    chat_id: chatId(entry),
    text: entry.text,
    timestamp: entry.at,
    is_sender: entry.kind !== 'reply',
    is_event: false,
    sender_id: entry.kind === 'reply' ? entry.recipient : `self-of-${entry.account}`,
  });

/** The events `account.status.running` and `account.status.disconnected`, now. */
export const statusEventV2 = (account: string, connected: boolean) =>
  event(account, `account.status.${connected ? 'running' : 'disconnected'}`, {
    timestamp: new Date().toISOString(),
  });

const event = (account: string, type: string, payload: object) => ({
  id: `evt_${crypto.randomUUID()}`,
  created_at: new Date().toISOString(),
  account_id: account,
  type,
  payload,
});

/** The header `Unipile-Signature`. */
export function signatureV2(body: string, secret: string): string {
  const t = Math.floor(Date.now() / 1000);
  return `t=${t},v0=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`;
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}
