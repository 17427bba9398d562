import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import type { Finding } from '../../../lib/engine/ports/queue-store.ts';
import type { ChatMessage, Unipile } from '../../../lib/providers/unipile/unipile.ts';
import { whatsappCloud } from '../../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { type DmProviders, dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { type Sandbox, startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../sandbox/shapes/whatsapp-shape.ts';

const attemptedAt = '2026-03-02T12:00:00.000Z';
const at = (seconds: number) => new Date(Date.parse(attemptedAt) + seconds * 1_000).toISOString();
const maxLateMs = 600_000;

interface Shown {
  /** The chats with the person, and what each holds. */
  chats: Record<string, ChatMessage[]>;
  complete?: boolean;
}
const message = (id: string, text = 'hello', seconds = 5, fromUs = true): ChatMessage => ({
  id,
  chatId: 'chat',
  text,
  at: at(seconds),
  fromUs,
});

function fakeUnipile({ chats, complete = true }: Shown): {
  unipile: Unipile;
  asked: Record<string, unknown>[];
} {
  const asked: Record<string, unknown>[] = [];
  const unipile: Unipile = {
    sendMessage: async (query) => {
      asked.push(query);
      return { messageId: 'sent', chatId: query.chatId };
    },
    startChat: async (query) => {
      asked.push(query);
      return { messageId: 'sent', chatId: 'new-chat' };
    },
    listMessages: async ({ chatId, since, signal }) => {
      asked.push({ chatId, since, signal });
      return { messages: (chats[chatId] ?? []).map((one) => ({ ...one, chatId })), complete };
    },
    listChats: async ({ attendeeId, accountId }) => {
      asked.push({ attendeeId, accountId });
      return Object.keys(chats).map((id) => ({ id }));
    },
  };
  return { unipile, asked };
}

const dm = {
  id: '7',
  channel: 'linkedin' as const,
  chat_id: 'chat' as string | null,
  recipient: 'bob' as string | null,
  body: 'hello',
  attempts: 1,
  template: null,
  enrolment_id: null,
};
const account = { id: 'a', provider: 'unipile', providerAccountId: 'acc', name: 'Ann' };
const { signal } = new AbortController();

function reconcile(deps: Partial<DmProviders>, row = dm, more: object = {}): Promise<Finding> {
  const providers = { unipileMaxLateMs: maxLateMs, ...deps };
  const context = { deps: providers, signal, log: silentLog, account, attemptedAt, evidence: null, ...more };
  return dmQueue.reconcile?.(row, context) ?? Promise.reject(new Error('it has no reconcile'));
}

const told = (changes: object) => ({
  receipts: [{ message_id: 'm1', chat_id: 'chat', body: 'hello', said_at: at(2), ...changes }],
  others: [],
});

describe('what became of a message in a known chat', () => {
  it('is proved by its text in the chat, asked from a day before the attempt on', async () => {
    const { unipile, asked } = fakeUnipile({ chats: { chat: [message('m1')] } });
    expect(await reconcile({ unipile })).toEqual({
      proof: [{ messageId: 'm1', result: { chat_id: 'chat' } }],
      candidates: [],
      absentAfterMs: maxLateMs,
      text: 'the message is in the chat',
    });
    expect(asked).toEqual([{ chatId: 'chat', since: at(-86_400), signal }]);
  });

  it('is proved absent after the time that a message may be late, where all of the chat was read', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m1', 'Who are you?', 5, false)] } });
    expect(await reconcile({ unipile })).toMatchObject({
      proof: [],
      candidates: [],
      absentAfterMs: maxLateMs,
    });
  });

  it('is not sent again while the chat holds any other message of ours', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m1', 'something else')] } });
    expect(await reconcile({ unipile })).toMatchObject({ proof: [], candidates: ['m1'] });
  });

  it('is not proved absent where there may be more of the chat than was read', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [] }, complete: false });
    expect(await reconcile({ unipile })).toMatchObject({ proof: [], absentAfterMs: null });
  });

  it('is not proved by what the other side wrote', async () => {
    const { unipile } = fakeUnipile({
      chats: { chat: [message('m1', 'hello', 5, false), message('m2', '', 5, false)] },
    });
    // The same text may be ours, told with the wrong sender.
    expect(await reconcile({ unipile })).toMatchObject({ proof: [], candidates: ['m1'] });
  });

  it('is proved by what a webhook told, too, and each message counts once', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m2')] } });
    const receipts = [
      { message_id: 'm1', chat_id: 'chat', body: 'hello', said_at: at(2) },
      { message_id: 'm2', chat_id: 'chat', body: 'hello', said_at: at(5) },
    ];
    const evidence = { receipts, others: ['good morning'] };
    const { proof } = await reconcile({ unipile }, dm, { evidence });
    expect(proof.map(({ messageId }) => messageId)).toEqual(['m1', 'm2']);
  });

  it('is proved where the provider calls it the other side’s, and a webhook told that it is ours, if not its text', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m1', 'hello', 5, false)] } });
    const { proof } = await reconcile({ unipile }, dm, { evidence: told({ body: null }) });
    expect(proof.map(({ messageId }) => messageId)).toEqual(['m1']);
  });

  it.each([
    ['of another shape', { message_id: 'm1' }],
    ['without a body', told({ body: null })],
    ['without an instant', told({ said_at: null })],
    ['nonsense', 'x'],
  ])('is asked all the same where the evidence is %s', async (_what, evidence) => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m2')] } });
    const { proof } = await reconcile({ unipile }, dm, { evidence });
    expect(proof.map(({ messageId }) => messageId)).toEqual(['m2']);
  });
});

describe('what became of a message beside another to the same person that is uncertain as well', () => {
  const found = fakeUnipile({ chats: { chat: [message('m1')] } });

  it('is not proved while that has the same text: a person decides', async () => {
    const evidence = { receipts: [], others: [' hello\n'] };
    expect(await reconcile(found, dm, { evidence })).toMatchObject({ proof: [], candidates: ['m1'] });
  });

  it('is proved by its own text', async () => {
    const evidence = { receipts: [], others: ['hello you'] };
    expect(await reconcile(found, dm, { evidence })).toMatchObject({
      proof: [{ messageId: 'm1' }],
      candidates: [],
    });
  });
});

describe('what became of a message that was to open a chat', () => {
  const opening = { ...dm, chat_id: null };

  it('is looked for in every chat with the person, and its chat is kept', async () => {
    const { unipile, asked } = fakeUnipile({
      chats: { one: [message('m1', 'other')], two: [message('m2')] },
    });
    expect(await reconcile({ unipile }, opening)).toMatchObject({
      proof: [{ messageId: 'm2', result: { chat_id: 'two' } }],
    });
    expect(asked[0]).toEqual({ attendeeId: 'bob', accountId: 'acc' });
    expect(asked.slice(1).map((query) => query.chatId)).toEqual(['one', 'two']);
  });

  it.each<[string, Shown['chats']]>([
    ['there is no chat', {}],
    ['it is in none of them', { one: [], two: [message('m1', 'other', 5, false)] }],
  ])('is never proved absent: %s', async (_what, chats) => {
    const { unipile } = fakeUnipile({ chats });
    const finding = await reconcile({ unipile }, opening);
    expect(finding).toMatchObject({ proof: [], candidates: [], absentAfterMs: null });
    expect(finding.text).toMatch(/may not be listed/);
  });
});

describe('what became of a message', () => {
  it('over WhatsApp is never asked: only its webhooks tell', async () => {
    const { unipile, asked } = fakeUnipile({ chats: { chat: [message('m1')] } });
    const whatsapp = { ...account, provider: 'whatsapp_cloud' };
    expect(await reconcile({ unipile }, dm, { account: whatsapp })).toMatchObject({
      text: 'WhatsApp cannot be queried, and no webhook has reported the message yet',
      proof: [],
      absentAfterMs: null,
    });
    expect(asked).toEqual([]);
  });

  it('is not known where the provider is not configured, or cannot be asked', async () => {
    await expect(reconcile({})).rejects.toThrow(/messages cannot be read from the provider unipile/);
    const { unipile } = fakeUnipile({ chats: {} });
    const broken = { ...unipile, listMessages: () => Promise.reject(new Error('503')) };
    await expect(reconcile({ unipile: broken })).rejects.toThrow('503');
  });
});

describe('an attempt', () => {
  const context = (deps: Partial<DmProviders>, provider: string, facts: unknown = null) => ({
    deps: { unipileMaxLateMs: maxLateMs, ...deps },
    signal,
    log: silentLog,
    account: { ...account, provider },
    attempt: 1,
    claimId: 'claim-1',
    facts,
    progress: () => {},
  });

  it.each([
    ['in its chat', dm, { chatId: 'chat', accountId: 'acc' }, 'chat'],
    [
      'to a person, in a chat that is then known',
      { ...dm, chat_id: null },
      { recipient: 'bob', accountId: 'acc' },
      'new-chat',
    ],
  ])('over LinkedIn goes out %s', async (_what, row, query, chatId) => {
    const { unipile, asked } = fakeUnipile({ chats: {} });
    const outcome = await dmQueue.perform(row, context({ unipile }, 'unipile'));
    expect(asked).toEqual([{ ...query, text: 'hello', signal }]);
    expect(outcome).toEqual({ kind: 'done', result: { provider_message_id: 'sent', chat_id: chatId } });
  });
});

describe('over WhatsApp', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await startSandbox({ enforceWindow: true });
    sandbox.write({ provider: 'whatsapp-cloud', account: 'acc', recipient: '+491510' }, 'hi');
  });
  afterAll(() => sandbox.close());

  const heard = '2026-03-02T11:00:00+00:00';
  const open = { heard_at: heard, in_window: true };
  const closed = { heard_at: heard, in_window: false };
  const unknowable = { heard_at: null, in_window: null };
  const template = { name: 'day_1', language: 'en', parameters: ['Ada'] };

  /** What became of an attempt, and what was delivered by it. */
  async function attempt(row: object, facts: unknown, whatsappKnowsReplies = false) {
    const before = sandbox.deliveries().length;
    const message = dmQueue.row.parse({ ...dm, channel: 'whatsapp', recipient: '+491510', ...row });
    const outcome = await dmQueue.perform(message, {
      deps: {
        whatsapp_cloud: whatsappCloud({
          accessToken: SANDBOX_ACCESS_TOKEN,
          apiVersion: 'v23.0',
          baseUrl: sandbox.url,
        }),
        whatsappKnowsReplies,
        unipileMaxLateMs: maxLateMs,
      },
      signal,
      log: silentLog,
      account: { ...account, provider: 'whatsapp_cloud' },
      attempt: 1,
      claimId: 'claim-1',
      facts,
      progress: () => {},
    });
    return { outcome, delivered: sandbox.deliveries().slice(before) };
  }

  it('an attempt gives its row and claim along, which the status webhooks echo', async () => {
    const { outcome, delivered } = await attempt({}, open);
    expect(delivered).toMatchObject([
      { account: 'acc', recipient: '+491510', text: 'hello', reference: 'dm_queue/7/claim-1' },
    ]);
    expect(outcome).toEqual({ kind: 'done', result: { provider_message_id: delivered[0]?.id } });
  });

  it.each<[what: string, sent: string, row: object, facts: unknown, knowsReplies: boolean]>([
    ['the text within the window', 'hello', { template, enrolment_id: 3 }, open, true],
    ['the template outside of it', 'day_1 (en): Ada', { template }, closed, true],
    ['the template to who never wrote', 'day_1 (en): Ada', { template, enrolment_id: 3 }, null, true],
    ['the template where nobody knows', 'day_1 (en): Ada', { template }, null, false],
    ['the text where nobody knows, and there is no template', 'hello', {}, closed, false],
    ['the text of a sequence where nobody can know', 'hello', { enrolment_id: 3 }, unknowable, true],
    ['the template where nobody can know', 'day_1 (en): Ada', { template }, unknowable, true],
    ['the text of a row that tells of neither', 'hello', { template: undefined }, null, false],
  ])('goes out %s', async (_what, text, row, facts, knowsReplies) => {
    const { outcome, delivered } = await attempt(row, facts, knowsReplies);
    expect(outcome.kind).toBe('done');
    expect(delivered.map((one) => one.text)).toEqual([text]);
  });

  it.each<[what: string, row: object, facts: unknown, knowsReplies: boolean, last: string]>([
    ['one of a sequence', { enrolment_id: 3 }, closed, false, heard],
    ['any, where webhooks are heard', {}, closed, true, heard],
    ['any to who never wrote', {}, { heard_at: null, in_window: false }, true, 'never'],
  ])('%s without a template is not sent outside the window: no call is made', async (...args) => {
    const [, row, facts, knowsReplies, last] = args;
    const { outcome, delivered } = await attempt(row, facts, knowsReplies);
    expect(outcome).toEqual({
      kind: 'dead',
      error: `outside WhatsApp's 24-hour window (the person last wrote ${last}): only an approved template may be sent`,
    });
    expect(delivered).toEqual([]);
  });

  it('a text that WhatsApp itself finds outside the window fails, and is no refusal of the account', async () => {
    const { outcome } = await attempt({ recipient: '+491511' }, null);
    expect(outcome).toEqual({ kind: 'dead', error: expect.stringContaining('131047') });
  });
});
