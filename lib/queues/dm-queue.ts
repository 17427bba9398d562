import { z } from 'zod';
import type { Outcome } from '../engine/outcome';
import { defineQueue, NotConfiguredError, type PerformContext } from '../engine/queue';
import { bodyLimits } from '../providers/body-limits';
import { type Unipile, unipile } from '../providers/unipile';
import { type WhatsappCloud, whatsappCloud } from '../providers/whatsapp-cloud';

const row = z
  .object({
    id: z.coerce.string(),
    channel: z.enum(['linkedin', 'whatsapp']),
    chat_id: z.string().min(1).nullable(),
    recipient: z.string().min(1).nullable(),
    body: z.string().min(1, 'is empty'),
    attempts: z.number(),
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

export interface DmProviders {
  unipile?: Unipile;
  whatsapp_cloud?: WhatsappCloud;
}

export interface DmEnv {
  unipile?: { dsn: string; apiKey: string };
  whatsappCloud?: { accessToken: string; apiVersion: string; baseUrl: string };
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
    };
  },

  providers: (deps) => Object.keys(deps),

  perform(dm, context) {
    return context.account?.provider === 'whatsapp_cloud'
      ? sendByWhatsAppCloud(dm, context)
      : sendByUnipile(dm, context);
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
  { deps, account, signal }: PerformContext<DmProviders>,
): Promise<Outcome> {
  if (!deps.whatsapp_cloud || !account) return notReachable(account?.provider);
  if (dm.channel !== 'whatsapp')
    return { kind: 'dead', error: `the account sends over WhatsApp, not ${dm.channel}` };
  if (!dm.recipient)
    return { kind: 'dead', error: 'recipient is empty: WhatsApp needs the telephone number' };
  const { messageId } = await deps.whatsapp_cloud.sendText({
    phoneNumberId: account.providerAccountId,
    to: dm.recipient,
    text: dm.body,
    // Echoed in the status webhooks: which row and which attempt a message belongs to.
    reference: `${dm.id}.${dm.attempts}`,
    signal,
  });
  return { kind: 'done', result: { provider_message_id: messageId } };
}

/** The claim takes only accounts of configured providers, so this is for those that no release of ours knows. */
function notReachable(provider: string | undefined): Outcome {
  return { kind: 'dead', error: `no messages are sent by the provider ${provider ?? '(none)'}` };
}
