import type { Chat, Delivery, DeliveryLog, Reply } from '../delivery-log.ts';
import type { SandboxResponse } from '../response.ts';
import { decodePart } from './decode-part.ts';
import { readForm } from './read-form.ts';
import type { ParsedRequest, ProviderRequest, Shape } from './shape.ts';
import { goneParty, unipileError } from './unipile-error.ts';
import { readPostRequest } from './unipile-posts-shape.ts';

export const SANDBOX_API_KEY = 'sandbox-key';

const messageShape: Shape = {
  accepted: ({ id }) => ({ status: 201, body: { object: 'MessageSent', message_id: id } }),
  rateLimited: (seconds) =>
    unipileError(429, 'too_many_requests', 'Too many requests', { 'retry-after': String(seconds) }),
  limited: (limit) =>
    limit === 'resend-yet'
      ? unipileError(422, 'cannot_resend_yet', 'The person cannot be written to again yet')
      : unipileError(422, 'limit_exceeded', 'The account has sent too much'),
  restricted: () => unipileError(403, 'account_restricted', 'The account has been restricted'),
  disconnected: () => unipileError(401, 'disconnected_account', 'The account is disconnected'),
  failed: () => unipileError(500, 'unexpected_error', 'Unexpected error'),
  tooLong: () => unipileError(413, 'content_too_large', 'The body is larger than 1 MB'),
};

const chatShape: Shape = {
  ...messageShape,
  accepted: (delivery) => ({
    status: 201,
    body: { object: 'ChatStarted', chat_id: chatId(delivery), message_id: delivery.id },
  }),
};

export const unipileShape: Shape = messageShape;

/** Parses a request below `/api/v1` as Unipile's API v1 does. */
export async function readUnipile(request: ProviderRequest, log: DeliveryLog): Promise<ParsedRequest> {
  if (request.header('x-api-key') !== SANDBOX_API_KEY) {
    return { response: unipileError(401, 'missing_credentials', 'Missing or wrong X-API-KEY') };
  }
  const post = await readPostRequest(request, log, messageShape);
  if (post) return post;
  const attendee = /^\/api\/v1\/chat_attendees\/([^/]+)\/chats\/?$/.exec(request.url.pathname)?.[1];
  if (attendee && request.method === 'GET')
    return { response: listChats(request, decodePart(attendee), log) };
  const chat = /^\/api\/v1\/chats\/([^/]+)\/messages\/?$/.exec(request.url.pathname)?.[1];
  const route = chat ? 'messages' : /^\/api\/v1\/chats\/?$/.test(request.url.pathname) ? 'chats' : null;
  if (route === 'messages' && request.method === 'GET')
    return { response: listMessages(request, chat ?? '', log) };
  if (route === 'chats' && request.method === 'GET') return { response: listAllChats(request, log) };
  if (!route || request.method !== 'POST')
    return { response: unipileError(404, 'resource_not_found', 'Not found') };

  const form = await readForm(request);
  if (!form) return { response: unipileError(400, 'invalid_parameters', 'A multipart body is expected') };
  const text = form.fields.get('text');
  const account = form.fields.get('account_id');
  if (!text) return { response: unipileError(400, 'missing_parameters', 'text is missing') };

  if (route === 'chats') {
    const recipient = form.fields.get('attendees_ids');
    if (!account || !recipient) {
      return { response: unipileError(400, 'missing_parameters', 'account_id or attendees_ids is missing') };
    }
    const send = { provider: 'unipile', account, recipient, text } as const;
    return { send, shape: chatShape, refusal: goneParty(recipient) };
  }
  const parties = partiesOf(chat ?? '');
  if (!parties) return { response: unipileError(404, 'resource_not_found', 'No such chat') };
  if (account && account !== parties.account) {
    return { response: unipileError(422, 'invalid_account', 'The chat belongs to another account') };
  }
  const refused = goneParty(parties.recipient) ?? goneParty(parties.account);
  return { send: { provider: 'unipile', ...parties, text }, shape: messageShape, refusal: refused };
}

/** A chat's id names its account and recipient, because a message in a chat does not name its account. */
export function chatId({ account, recipient }: { account: string; recipient: string }): string {
  return `${account}__${recipient}`;
}

function partiesOf(encodedId: string): { account: string; recipient: string } | null {
  const match = /^(.+?)__(.+)$/s.exec(decodePart(encodedId));
  return match?.[1] && match[2] ? { account: match[1], recipient: match[2] } : null;
}

/** `GET …/messages`: the messages of both sides, newest first, with `limit`, `cursor`, `after` and `before`. */
function listMessages(request: ProviderRequest, encodedId: string, log: DeliveryLog): SandboxResponse {
  const parties = partiesOf(encodedId);
  const query = request.url.searchParams;
  if (!parties || parties.account !== (query.get('account_id') ?? parties.account))
    return unipileError(404, 'resource_not_found', 'No such chat');
  const limit = Math.min(Math.max(Number(query.get('limit')) || 100, 1), 250);
  const [after, before] = [query.get('after'), query.get('before')];
  const written = log.ofChat({ provider: 'unipile', ...parties });
  // The cursor counts from the oldest message, so that a message between two pages shifts nothing.
  const cursor = query.get('cursor');
  const older = cursor === null ? written : written.slice(0, Math.max(Number(cursor) || 0, 0));
  const wanted = older.filter(
    ({ at }) =>
      (!after || Date.parse(at) > Date.parse(after)) && (!before || Date.parse(at) < Date.parse(before)),
  );
  const page = wanted.slice(-limit);
  const oldest = page[0];
  const more = wanted.length > page.length && oldest;
  const items = page.reverse().map(listed);
  return {
    status: 200,
    body: { object: 'MessageList', items, cursor: more ? String(written.indexOf(oldest)) : null },
  };
}

/** `GET …/chat_attendees/{id}/chats`: a chat exists once it has a message. */
function listChats(request: ProviderRequest, attendee: string, log: DeliveryLog): SandboxResponse {
  const chats = log
    .chats()
    .filter(({ provider, recipient }) => provider === 'unipile' && recipient === attendee);
  if (chats.length === 0) return unipileError(404, 'resource_not_found', 'No such attendee');
  const items = ofAccounts(chats, request).map(listedChat);
  return { status: 200, body: { object: 'ChatList', items, cursor: null } };
}

/** `GET …/chats`: the newest chat first, with `limit` and `cursor`. */
function listAllChats(request: ProviderRequest, log: DeliveryLog): SandboxResponse {
  const query = request.url.searchParams;
  const limit = Math.min(Math.max(Number(query.get('limit')) || 100, 1), 250);
  const all = ofAccounts(log.chats(), request).filter(({ provider }) => provider === 'unipile');
  // The cursor counts from the oldest chat, as for messages.
  const older = all.slice(0, Number(query.get('cursor') ?? all.length));
  const items = older.slice(-limit).reverse().map(listedChat);
  const left = older.length - items.length;
  return { status: 200, body: { object: 'ChatList', items, cursor: left > 0 ? String(left) : null } };
}

function ofAccounts(chats: Chat[], request: ProviderRequest): Chat[] {
  const accounts = request.url.searchParams.get('account_id')?.split(',');
  return chats.filter(({ account }) => !accounts || accounts.includes(account));
}

const listedChat = (chat: Chat) => ({
  object: 'Chat',
  id: chatId(chat),
  account_id: chat.account,
  attendee_provider_id: chat.recipient,
  type: 0,
});

/** The event `message_received` of the source `messaging`. Unipile also sends it for the account's own messages. */
export function receivedEvent(entry: Delivery | Reply) {
  const self = `self-of-${entry.account}`;
  const attendee = (name: string, id: string) => ({
    attendee_id: `att_${id}`,
    attendee_name: name,
    attendee_provider_id: id,
  });
  const other = attendee(entry.recipient, entry.recipient);
  const isSender = entry.kind !== 'reply';
  return {
    event: 'message_received',
    webhook_name: 'sandbox',
    account_id: entry.account,
    account_type: 'LINKEDIN',
    account_info: { type: 'LINKEDIN', feature: 'classic', user_id: self },
    chat_id: chatId(entry),
    message_id: entry.id,
    message: entry.text,
    timestamp: entry.at,
    is_sender: isSender,
    sender: isSender ? attendee(entry.account, self) : other,
    attendees: [other],
  };
}

const listed = (entry: Delivery | Reply) => ({
  object: 'Message',
  id: entry.id,
  chat_id: chatId(entry),
  account_id: entry.account,
  text: entry.text,
  timestamp: entry.at,
  is_sender: entry.kind === 'reply' ? 0 : 1,
});

/** The event of the source `account_status`. */
export const accountStatusEvent = (account: string, connected: boolean) => ({
  AccountStatus: { account_id: account, account_type: 'LINKEDIN', message: connected ? 'OK' : 'CREDENTIALS' },
});
