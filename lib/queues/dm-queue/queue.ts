import { z } from 'zod';
import type { Outcome } from '../../engine/outcome.ts';
import type { Finding } from '../../engine/ports/queue-store.ts';
import {
  defineQueue,
  NotConfiguredError,
  type PerformContext,
  type ReconcileContext,
} from '../../engine/queue.ts';
import { ProviderError } from '../../net/http.ts';
import { bodyLimits, channels } from '../../providers/body-limits.ts';
import { type Unipile, unipile, unipileMaxLateMs } from '../../providers/unipile/unipile.ts';
import type { UnipileOptions } from '../../providers/unipile/unipile-api.ts';
import { type WhatsappCloud, whatsappCloud } from '../../providers/whatsapp/whatsapp-cloud.ts';
import { clockRoomMs, matchMessages, type SeenInChat } from './match-messages.ts';

const row = z
  .object({
    id: z.coerce.string(),
    channel: z.enum(channels),
    chat_id: z.string().min(1).nullable(),
    recipient: z.string().min(1).nullable(),
    body: z.string().min(1, 'is empty'),
    attempts: z.number(),
    /** WhatsApp only: sent instead of `body` outside the 24-hour window. */
    template: z
      .object({ name: z.string().min(1), language: z.string().min(1), parameters: z.array(z.string()) })
      .nullable()
      .default(null),
    /** The enrolment of a sequence's message. */
    enrolment_id: z.union([z.number(), z.string()]).nullable().default(null),
  })
  .superRefine((dm, context) => {
    if (dm.body.length > bodyLimits[dm.channel]) {
      const message = `is longer than the ${bodyLimits[dm.channel]} characters that ${dm.channel} allows`;
      context.addIssue({ code: 'custom', path: ['body'], message });
    }
    if (dm.chat_id === null && dm.recipient === null) {
      context.addIssue({
        code: 'custom',
        path: ['recipient'],
        message: 'there is neither a chat_id nor a recipient',
      });
    }
  });

type Dm = z.infer<typeof row>;

/**
 * The facts of a row of a `whatsapp_cloud` account; other rows have none. `last_reply_at`: when the person last wrote to the account.
 * `in_window`: whether that is within 24 hours; null if the account's webhooks may not have arrived.
 */
const windowFacts = z.object({ last_reply_at: z.string().nullable(), in_window: z.boolean().nullable() });

/** The value of `find_dm_evidence`: the receipts of webhooks, and the texts of other uncertain messages to the same person. */
const dmEvidence = z
  .object({
    receipts: z.array(
      z.object({
        message_id: z.string(),
        chat_id: z.string().nullable(),
        body: z.string().nullable(),
        said_at: z.string().nullable(),
      }),
    ),
    others: z.array(z.string()),
  })
  .catch({ receipts: [], others: [] });

export interface DmProviders {
  unipile?: Unipile;
  whatsapp_cloud?: WhatsappCloud;
  /** Whether WhatsApp's webhooks arrive. If they do, a person outside the window has not written. */
  whatsappKnowsReplies?: boolean;
  /** How long after its attempt a message can still appear in its chat, in milliseconds. */
  unipileMaxLateMs: number;
}

export interface DmEnv {
  unipile?: UnipileOptions & { maxLateMs?: number };
  whatsappCloud?: {
    accessToken: string;
    apiVersion: string;
    baseUrl: string;
    /** Whether its webhooks arrive and report who has written. */
    knowsReplies?: boolean;
  };
}

/** Direct messages over LinkedIn and WhatsApp. Each goes out at most once. */
export const dmQueue = defineQueue<Dm, DmProviders, DmEnv>({
  name: 'dm_queue',
  row,
  delivery: 'at-most-once',
  timeoutMs: 15_000,

  connect(env) {
    if (!env.unipile && !env.whatsappCloud) {
      throw new NotConfiguredError(
        'no provider can send messages: set UNIPILE_DSN and UNIPILE_API_KEY, or WHATSAPP_ACCESS_TOKEN',
        ['UNIPILE_DSN', 'UNIPILE_API_KEY', 'WHATSAPP_ACCESS_TOKEN'],
      );
    }
    return {
      ...(env.unipile && { unipile: unipile(env.unipile) }),
      ...(env.whatsappCloud && { whatsapp_cloud: whatsappCloud(env.whatsappCloud) }),
      whatsappKnowsReplies: env.whatsappCloud?.knowsReplies ?? false,
      unipileMaxLateMs: env.unipile?.maxLateMs ?? unipileMaxLateMs,
    };
  },

  providers: (deps) => (['unipile', 'whatsapp_cloud'] as const).filter((name) => deps[name]),

  perform(dm, context) {
    return context.account?.provider === 'whatsapp_cloud'
      ? sendByWhatsAppCloud(dm, context)
      : sendByUnipile(dm, context);
  },

  async reconcile(dm, context) {
    // The API has no query for messages. Its webhooks carry our reference, and the database matches those.
    if (context.account?.provider === 'whatsapp_cloud') {
      return {
        proof: [],
        candidates: [],
        absentAfterMs: null,
        text: 'WhatsApp cannot be queried, and no webhook has reported the message yet',
      };
    }
    return findInChat(dm, context);
  },
});

async function sendByUnipile(
  dm: Dm,
  { deps, account, signal }: PerformContext<DmProviders>,
): Promise<Outcome> {
  if (!deps.unipile || !account) return notReachable(account?.provider);
  const sent = dm.chat_id
    ? await deps.unipile.sendMessage({
        accountId: account.providerAccountId,
        chatId: dm.chat_id,
        text: dm.body,
        signal,
      })
    : await deps.unipile.startChat({
        accountId: account.providerAccountId,
        recipient: dm.recipient ?? '',
        text: dm.body,
        signal,
      });
  return { kind: 'done', result: { provider_message_id: sent.messageId, chat_id: sent.chatId } };
}

async function sendByWhatsAppCloud(
  dm: Dm,
  { deps, account, claimId, facts, signal }: PerformContext<DmProviders>,
): Promise<Outcome> {
  if (!deps.whatsapp_cloud || !account) return notReachable(account?.provider);
  if (dm.channel !== 'whatsapp')
    return { kind: 'dead', error: `the account sends over WhatsApp, not ${dm.channel}` };
  if (!dm.recipient)
    return { kind: 'dead', error: 'recipient is empty: WhatsApp needs the telephone number or the user id' };
  const { last_reply_at: lastReplyAt, in_window: inWindow } = windowFacts
    .catch({ last_reply_at: null, in_window: false })
    .parse(facts);
  const message = {
    phoneNumberId: account.providerAccountId,
    to: dm.recipient,
    // The status webhooks echo it, so it names the message's row and attempt.
    reference: `dm_queue/${dm.id}/${claimId}`,
    signal,
  };
  if (!inWindow && dm.template !== null) {
    return sent(await deps.whatsapp_cloud.sendTemplate({ ...message, template: dm.template }));
  }
  // Without webhooks only WhatsApp knows who has written. Its refusal of a text outside the window does no harm.
  if (inWindow === false && (dm.enrolment_id !== null || deps.whatsappKnowsReplies)) {
    return {
      kind: 'dead',
      error: `outside WhatsApp's 24-hour window (the person last wrote ${lastReplyAt ?? 'never'}): only an approved template may be sent`,
    };
  }
  try {
    return sent(await deps.whatsapp_cloud.sendText({ ...message, text: dm.body }));
  } catch (error) {
    // Any number of these in a row says nothing about the account.
    if (error instanceof ProviderError && error.code === OUTSIDE_WINDOW)
      return { kind: 'dead', error: error.message };
    throw error;
  }
}

/** Meta's code for a text to a person who has not written for 24 hours. */
const OUTSIDE_WINDOW = 131047;

const sent = ({ messageId }: { messageId: string }): Outcome => ({
  kind: 'done',
  result: { provider_message_id: messageId },
});

/**
 * Searches the chat, or all chats with the person, for the attempt's message. A chat that the attempt opened may appear later or under another
 * id, so without a chat id an empty finding proves nothing.
 */
async function findInChat(
  dm: Dm,
  { deps, account, attemptedAt, evidence, signal }: ReconcileContext<DmProviders>,
): Promise<Finding> {
  if (!deps.unipile || !account)
    throw new Error(`messages cannot be read from the provider ${account?.provider ?? '(none)'}`);
  const { unipile } = deps;
  const chats = dm.chat_id
    ? [dm.chat_id]
    : (
        await unipile.listChats({
          attendeeId: dm.recipient ?? '',
          accountId: account.providerAccountId,
          signal,
        })
      ).map(({ id }) => id);
  const since = new Date(Date.parse(attemptedAt) - clockRoomMs).toISOString();
  const accountId = account.providerAccountId;
  const lists = await Promise.all(
    chats.map((chatId) => unipile.listMessages({ accountId, chatId, since, signal })),
  );
  const seen = new Map<string, SeenInChat>();
  const { receipts, others } = dmEvidence.parse(evidence);
  const reported = new Set(receipts.map((receipt) => receipt.message_id));
  for (const receipt of receipts) {
    const { message_id: id, chat_id: chatId, body, said_at: at } = receipt;
    if (body !== null && at !== null) seen.set(id, { id, chatId, text: body, at, fromUs: true });
  }
  for (const message of lists.flatMap(({ messages }) => messages)) {
    // A webhook may report that we sent a message without its text.
    seen.set(message.id, { ...message, fromUs: message.fromUs || reported.has(message.id) });
  }

  const { proof, candidates } = matchMessages(dm.body, attemptedAt, [...seen.values()], others);
  const complete = lists.every((list) => list.complete);
  const authoritative = dm.chat_id !== null && complete;
  return {
    proof,
    candidates,
    absentAfterMs: authoritative ? deps.unipileMaxLateMs : null,
    text: describeFinding(proof.length, candidates.length, dm.chat_id !== null, complete),
  };
}

function describeFinding(
  proofCount: number,
  candidateCount: number,
  knowsChat: boolean,
  complete: boolean,
): string {
  if (proofCount > 0) return 'the message is in the chat';
  if (candidateCount > 0) return 'the chat has a message that may be this one: check the chat';
  if (!knowsChat)
    return 'no chat with this person has the message, but a chat that it opened may not be listed yet';
  return complete
    ? 'the message is not in the chat'
    : 'the message is not among those that were read; the chat has more, or some could not be read';
}

/** For providers that this code does not know: a claim takes only accounts of configured providers. */
function notReachable(provider: string | undefined): Outcome {
  return { kind: 'dead', error: `the provider ${provider ?? '(none)'} cannot send messages` };
}
