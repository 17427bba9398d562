import { z } from 'zod';
import { type ConnectionNotice, MAX_ID_LENGTH, toInstant, type WebhookReading } from '../receipt.ts';
import { disconnectedCodes } from './unipile-codes.ts';

/*
 * Sources. v1: developer.unipile.com/docs/new-messages-webhook and /docs/account-lifecycle. v2: developer.unipile.com/v2.0/reference/
 * event-types-1 (the event object, account.status.*), /v2.0/docs/migration-webhooks (a new message event has the message object as its
 * payload), /v2.0/docs/status-lifecycle; the message object as in Unipile's own Python SDK (github.com/unipile/unipile-python).
 * v1's reference does not list is_group and is_event; captured payloads have both (github.com/jcleira/magiklead, testdata).
 *
 * No source confirms the following, so this code does not rely on it:
 * - Whether v2 reports the messages that the account itself sends. If not, only checks prove those.
 * - The recipient of such a message. v2's message names its chat and its sender, so the receipt has a chat and no recipient.
 * - Whether v2's message is in a group. Only the chat object has that, so a member's message counts as written to us alone.
 */

const id = z.string().min(1).max(MAX_ID_LENGTH);
const optionalId = id.optional().catch(undefined);
const optionalText = z.string().nullish().catch(undefined);
const attendee = z.object({ attendee_provider_id: optionalId });
const boolean = z.union([z.boolean(), z.literal(0), z.literal(1)]);

const messageReceived = z.object({
  event: z.literal('message_received'),
  message_id: id,
  account_id: id,
  chat_id: optionalId,
  message: optionalText,
  timestamp: optionalText,
  /** The account's id at its network. An organisation writes as its mailbox. */
  account_info: z.object({ user_id: optionalId, mailbox_id: optionalId }).optional().catch(undefined),
  sender: attendee.optional().catch(undefined),
  // A larger group has no single recipient anyway.
  attendees: z.array(attendee).max(1_000).default([]).catch([]),
  is_sender: boolean.optional().catch(undefined),
  is_group: boolean.nullish().catch(undefined),
  /** An event in the chat, for example "Anna has joined". */
  is_event: z.union([z.literal(false), z.literal(0)]).nullish(),
});

/** v1, source `account_status`. It has no time, so the order of arrival decides. */
const accountStatus = z.object({ AccountStatus: z.object({ account_id: id, message: z.string() }) });

/**
 * Why an account does not work, by v1's status; null if it works. These statuses change nothing: a connection in progress (CONNECTING,
 * CREATION_SUCCESS), a status of something else (SYNC_SUCCESS) and an unknown status.
 */
const statuses = new Map<string, string | null>([
  ['OK', null],
  ['RECONNECTED', null],
  [
    'CREDENTIALS',
    'its credentials are invalid or missing: connect the account again at Unipile (CREDENTIALS)',
  ],
  ['ERROR', 'Unipile stopped synchronising the account after an error: restart it at Unipile (ERROR)'],
  ['STOPPED', 'Unipile stopped synchronising the account: restart it at Unipile (STOPPED)'],
  ['DELETED', 'the account was deleted at Unipile (DELETED)'],
]);

const messageNew = z.object({
  type: z.literal('message.new'),
  account_id: id,
  payload: z.object({
    id,
    chat_id: optionalId,
    text: optionalText,
    timestamp: optionalText,
    is_sender: boolean,
    sender_id: optionalId,
    /** An event in the chat, for example "Anna has joined". */
    is_event: z.literal(false).optional(),
  }),
});

const accountEvent = z.object({
  type: z.string(),
  account_id: id,
  created_at: optionalText,
  payload: z
    .object({ timestamp: optionalText, product: optionalText, reason: optionalText })
    .nullish()
    .catch(undefined),
});

/** The same by v2's event. `account.reconnect` is not here, because `account.status.running` reports that the account works. */
const events = new Map<string, string | null>([
  ['account.status.running', null],
  [
    'account.status.disconnected',
    'the account is disconnected: authenticate it again at Unipile (disconnected)',
  ],
  ['account.status.errored', 'the account is out of service at Unipile (errored)'],
  ['account.status.paused', 'Unipile paused the account: no subscription is active (paused)'],
  ['account.remove', 'the account was removed at Unipile (removed)'],
]);

/**
 * Reads the receipt or the connection notice of a Unipile webhook, v1 or v2. v1 reports every message in a chat, including those that the account
 * sent. Other events are ignored, and so is a message that does not show whether the account sent it.
 */
export function readUnipileWebhook(body: unknown): WebhookReading {
  return (
    readMessageReceived(body) ??
    readAccountStatus(body) ??
    readMessageNew(body) ??
    readAccountEvent(body) ?? { receipts: [], ignored: 1 }
  );
}

function readMessageReceived(body: unknown): WebhookReading | null {
  const { data } = messageReceived.safeParse(body);
  if (!data) return null;
  const { sender, account_info, is_sender, is_group, attendees, ...rest } = data;
  const from = sender?.attendee_provider_id;
  const ourselves = [account_info?.user_id, account_info?.mailbox_id].filter((own) => own !== undefined);
  const isComparable = from !== undefined && ourselves.length > 0;
  if (!isComparable && is_sender === undefined) return null;
  const sent = is_sender === undefined ? ourselves.includes(from ?? '') : Boolean(is_sender);

  const others = new Set(attendees.map((one) => one.attendee_provider_id).filter((one) => one !== undefined));
  for (const own of [...ourselves, ...(sent && from ? [from] : [])]) others.delete(own);
  // A message in a group has no single other person. Only its chat can match a conversation of ours.
  const isGroup = Boolean(is_group ?? (ourselves.length > 0 && others.size > 1));
  const [onlyOther] = others.size === 1 ? others : [];
  return {
    receipts: [
      {
        kind: 'message',
        status: sent ? 'sent' : 'received',
        message_id: rest.message_id,
        provider_account_id: rest.account_id,
        chat_id: rest.chat_id,
        recipient: isGroup ? undefined : sent ? onlyOther : from,
        body: rest.message ?? undefined,
        said_at: instantOf(rest.timestamp),
      },
    ],
    ignored: 0,
  };
}

function readAccountStatus(body: unknown): WebhookReading | null {
  const { data } = accountStatus.safeParse(body);
  if (!data) return null;
  const { account_id, message } = data.AccountStatus;
  return readingOf(account_id, statuses.get(message));
}

function readMessageNew(body: unknown): WebhookReading | null {
  const { data } = messageNew.safeParse(body);
  if (!data) return null;
  const { account_id, payload } = data;
  return {
    receipts: [
      {
        kind: 'message',
        status: payload.is_sender ? 'sent' : 'received',
        message_id: payload.id,
        provider_account_id: account_id,
        chat_id: payload.chat_id,
        recipient: payload.is_sender ? undefined : payload.sender_id,
        body: payload.text ?? undefined,
        said_at: instantOf(payload.timestamp),
      },
    ],
    ignored: 0,
  };
}

function readAccountEvent(body: unknown): WebhookReading | null {
  const { data } = accountEvent.safeParse(body);
  if (!data) return null;
  const { type, account_id, created_at, payload } = data;
  const reason = events.get(type);
  const details = [payload?.product, payload?.reason].filter(Boolean).join(', ').slice(0, 100);
  const said = reason && details ? `${reason}: ${details}` : reason;
  return readingOf(account_id, said, instantOf(payload?.timestamp) ?? instantOf(created_at));
}

/** `said` is why the account does not work; null if it works, undefined if that is unknown. */
function readingOf(
  account: string,
  said: string | null | undefined,
  said_at?: string,
): WebhookReading | null {
  if (said === undefined) return null;
  const notice: ConnectionNotice = {
    provider_account_id: account,
    said_at,
    ...(said === null ? { connected: true, ends: disconnectedCodes } : { connected: false, said }),
  };
  return { receipts: [], connections: [notice], ignored: 0 };
}

const instantOf = (text: string | null | undefined) => toInstant(Date.parse(text ?? ''));
