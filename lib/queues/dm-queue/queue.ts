import { z } from 'zod';
import type { Outcome } from '../../engine/outcome';
import type { Finding } from '../../engine/ports/queue-store';
import {
  defineQueue,
  NotConfiguredError,
  type PerformContext,
  type ReconcileContext,
} from '../../engine/queue';
import { ProviderError } from '../../net/http';
import { bodyLimits, channels } from '../../providers/body-limits';
import { type Unipile, unipile, unipileMaxLateMs } from '../../providers/unipile/unipile';
import type { UnipileOptions } from '../../providers/unipile/unipile-api';
import { type WhatsappCloud, whatsappCloud } from '../../providers/whatsapp/whatsapp-cloud';
import { clockRoomMs, matchMessages, type SeenInChat } from './match-messages';

const row = z
  .object({
    id: z.coerce.string(),
    channel: z.enum(channels),
    chat_id: z.string().min(1).nullable(),
    recipient: z.string().min(1).nullable(),
    body: z.string().min(1, 'is empty'),
    attempts: z.number(),
    /** WhatsApp only: what goes out outside its 24-hour window. */
    template: z
      .object({ name: z.string().min(1), language: z.string().min(1), parameters: z.array(z.string()) })
      .nullable()
      .default(null),
    /** Of a sequence's message: the row of `enrolments`. */
    enrolment_id: z.union([z.number(), z.string()]).nullable().default(null),
  })
  .superRefine((dm, context) => {
    if (dm.body.length > bodyLimits[dm.channel]) {
      const message = `is longer than the ${bodyLimits[dm.channel]} characters that ${dm.channel} takes`;
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

/** Of an account at `whatsapp_cloud`; others have none. `heard_at`: when the person last wrote to it. `in_window`: null if that may not be known. */
const windowFacts = z.object({ heard_at: z.string().nullable(), in_window: z.boolean().nullable() });

/** What `find_dm_evidence` answers: what webhooks told, and texts to the same person that are uncertain as well. */
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
  /** Whether WhatsApp's webhooks are heard, so that who is in no window has not written. */
  whatsappKnowsReplies?: boolean;
  /** How late after its attempt a message can still show up in its chat. */
  unipileMaxLateMs: number;
}

export interface DmEnv {
  unipile?: UnipileOptions & { maxLateMs?: number };
  whatsappCloud?: {
    accessToken: string;
    apiVersion: string;
    baseUrl: string;
    /** Whether its webhooks tell who has written. */
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
    // Its webhooks bear our reference, and the database reads those by itself.
    if (context.account?.provider === 'whatsapp_cloud') {
      return {
        proof: [],
        candidates: [],
        absentAfterMs: null,
        text: 'WhatsApp cannot be asked, and no webhook has told of it yet',
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
  const { heard_at: heardAt, in_window: inWindow } = windowFacts
    .catch({ heard_at: null, in_window: false })
    .parse(facts);
  const message = {
    phoneNumberId: account.providerAccountId,
    to: dm.recipient,
    // Echoed in the status webhooks: which row and which attempt a message belongs to.
    reference: `dm_queue/${dm.id}/${claimId}`,
    signal,
  };
  if (!inWindow && dm.template !== null) {
    return sent(await deps.whatsapp_cloud.sendTemplate({ ...message, template: dm.template }));
  }
  // Where no webhook says who has written, only WhatsApp itself knows, and refuses a text outside the window without harm.
  if (inWindow === false && (dm.enrolment_id !== null || deps.whatsappKnowsReplies)) {
    return {
      kind: 'dead',
      error: `outside WhatsApp's 24-hour window (the person last wrote ${heardAt ?? 'never'}): only an approved template may be sent`,
    };
  }
  try {
    return sent(await deps.whatsapp_cloud.sendText({ ...message, text: dm.body }));
  } catch (error) {
    // It is no refusal of the account's, however many rows in a row meet it.
    if (error instanceof ProviderError && error.code === OUTSIDE_WINDOW)
      return { kind: 'dead', error: error.message };
    throw error;
  }
}

/** Meta's code for a text to somebody who has not written for 24 hours. */
const OUTSIDE_WINDOW = 131047;

const sent = ({ messageId }: { messageId: string }): Outcome => ({
  kind: 'done',
  result: { provider_message_id: messageId },
});

/**
 * Looks through the chat, or the chats with the person, for what the attempt left there. A chat that it should have opened may come into
 * being later, or under another id: not finding it proves nothing.
 */
async function findInChat(
  dm: Dm,
  { deps, account, attemptedAt, evidence, signal }: ReconcileContext<DmProviders>,
): Promise<Finding> {
  if (!deps.unipile || !account)
    throw new Error(`no messages are read at ${account?.provider ?? '(no provider)'}`);
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
  const told = new Set(receipts.map((receipt) => receipt.message_id));
  for (const receipt of receipts) {
    const { message_id: id, chat_id: chatId, body, said_at: at } = receipt;
    if (body !== null && at !== null) seen.set(id, { id, chatId, text: body, at, fromUs: true });
  }
  for (const message of lists.flatMap(({ messages }) => messages)) {
    // Its webhook told that we sent it, if not always what it says.
    seen.set(message.id, { ...message, fromUs: message.fromUs || told.has(message.id) });
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

function describeFinding(proof: number, candidates: number, knowsChat: boolean, complete: boolean): string {
  if (proof > 0) return 'it is in the chat';
  if (candidates > 0) return 'the chat has a message that may be it: look there';
  if (!knowsChat) return 'no chat with this person has it; one that was to be opened may not be listed';
  return complete ? 'it is not in the chat' : 'it is not in the latest messages of the chat; there are more';
}

/** The claim takes only accounts of configured providers, so this is for those that no release of ours knows. */
function notReachable(provider: string | undefined): Outcome {
  return { kind: 'dead', error: `no messages are sent by the provider ${provider ?? '(none)'}` };
}
