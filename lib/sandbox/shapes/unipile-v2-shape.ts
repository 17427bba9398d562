import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Delivery, DeliveryLog, Reply } from '../delivery-log.ts';
import type { SandboxResponse } from '../response.ts';
import { decodePart } from './decode-part.ts';
import type { Form, ParsedRequest, ProviderRequest, Shape } from './shape.ts';
import { chatId, readUnipile, unipileShape } from './unipile-shape.ts';

/** The error types of v2, by those of v1. */
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

/** Whether a path is below `/v2/`. WhatsApp's versions have a point, as in `/v23.0/`. */
export const isUnipileV2 = (path: string) => path.startsWith('/v2/');

/** Parses a request below `/v2` as Unipile's API v2 does: translates it to v1, and the response back. */
export async function readUnipileV2(request: ProviderRequest, log: DeliveryLog): Promise<ParsedRequest> {
  const translated = toV1(request);
  if ('status' in translated) return { response: translated };
  const parsed = await readUnipile(translated, log);
  const host = request.header('host') ?? 'sandbox';
  if ('send' in parsed) {
    const { send, shape, refusal } = parsed;
    return { send, shape: shapeV2(shape, host), refusal: refusal && toV2(refusal) };
  }
  const unknownPerson = parsed.response.status === 404 && /\/users\/[^/]+\/chat$/.test(request.url.pathname);
  const response = unknownPerson
    ? { status: 200, body: { object: 'UserChat', data: [] } }
    : toV2(parsed.response, request);
  // The sandbox has no cache, but claims a cached copy unless the request forbids one.
  const isCopy = request.method === 'GET' && request.header('cache-control') !== 'no-cache';
  return { response: { ...response, headers: { ...response.headers, 'x-cache': isCopy ? 'HIT' : 'MISS' } } };
}

/** Returns the responses of v2 to a message or post. */
export function shapeV2(shape: Shape, host = 'sandbox'): Shape {
  return {
    accepted: (delivery) =>
      delivery.kind === 'post'
        ? { status: 201, body: shownPost(delivery, host) }
        : { ...shape.accepted(delivery), status: 200 },
    rateLimited: (seconds) => toV2(shape.rateLimited(seconds)),
    // v2 names no time for the network's limit, and has no limit for one person.
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

const error = (
  status: number,
  type: string,
  title: string,
  headers?: Record<string, string>,
): SandboxResponse => ({
  status,
  headers,
  body: { object: 'Error', type, status, title, detail: 'From the sandbox.', req_id: 'req-sandbox' },
});

const file = z.object({ filename: z.string(), content_type: z.string(), content: z.base64() });
const sent = z.object({
  text: z.string(),
  users_ids: z.union([z.string(), z.tuple([z.string()]).transform(([only]) => only)]).optional(),
  attachments: z.array(file).default([]),
});

/** Translates a request to v1. Returns an error response if v1 has no such request. */
function toV1(request: ProviderRequest): ProviderRequest | SandboxResponse {
  const [account = '', ...rest] = request.url.pathname.split('/').slice(2);
  const path = pathV1(request.method, account, rest);
  if (path === null) return error(404, 'api/resource_not_found', 'Not found');
  const query = new URLSearchParams(readCursor(request.url.searchParams));
  query.set('account_id', decodePart(account));
  const url = new URL(`/api/v1${path}?${query}`, request.url);
  if (request.method !== 'POST') return { ...request, url };
  const isJson = request.header('content-type')?.startsWith('application/json');
  const { data } = sent.safeParse(isJson ? parseJson(request.body) : null);
  if (!data) return error(400, 'api/invalid_parameters', 'The body is not valid');
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
  return { ...request, url, form };
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

/** A cursor contains the query of the first page. No parameter may accompany it. */
const writeCursor = (query: URLSearchParams, cursor: string) =>
  Buffer.from(
    JSON.stringify([...query].filter(([name]) => name !== 'cursor').concat([['cursor', cursor]])),
  ).toString('base64url');

function readCursor(query: URLSearchParams): [string, string][] {
  const cursor = query.get('cursor');
  return cursor === null ? [...query] : JSON.parse(Buffer.from(cursor, 'base64url').toString());
}

/** The fields of v1's responses that v2 names otherwise. */
interface BodyV1 {
  object?: string;
  type?: string;
  title?: string;
  items?: BodyV1[];
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

/** Translates a response of v1 to v2. */
function toV2(response: SandboxResponse, request?: ProviderRequest): SandboxResponse {
  const { status, headers } = response;
  const body = response.body as BodyV1;
  if (body.type) {
    return error(
      status,
      errorTypes.get(body.type) ?? 'provider/unprocessable_entity',
      body.title ?? '',
      headers,
    );
  }
  const query = new URLSearchParams(request && readCursor(request.url.searchParams));
  const isOfPerson = /\/users\/[^/]+\/chat$/.test(request?.url.pathname ?? '');
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

/** The events `account.status.running` and `account.status.disconnected`, with the current time. */
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
