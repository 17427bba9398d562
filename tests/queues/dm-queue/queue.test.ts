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
  /** The chats with the person, each with its messages. */
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
  queries: Record<string, unknown>[];
} {
  const queries: Record<string, unknown>[] = [];
  const unipile: Unipile = {
    sendMessage: async (query) => {
      queries.push(query);
      return { messageId: 'sent', chatId: query.chatId };
    },
    startChat: async (query) => {
      queries.push(query);
      return { messageId: 'sent', chatId: 'new-chat' };
    },
    listMessages: async ({ chatId, since, signal }) => {
      queries.push({ chatId, since, signal });
      return { messages: (chats[chatId] ?? []).map((one) => ({ ...one, chatId })), complete };
    },
    listChats: async ({ attendeeId, accountId }) => {
      queries.push({ attendeeId, accountId });
      return Object.keys(chats).map((id) => ({ id }));
    },
  };
  return { unipile, queries };
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

const evidenceOf = (changes: object) => ({
  receipts: [{ message_id: 'm1', chat_id: 'chat', body: 'hello', said_at: at(2), ...changes }],
  others: [],
});

describe('a check of a message in a known chat', () => {
  it('finds proof by the text, and reads the chat from a day before the attempt on', async () => {
    const { unipile, queries } = fakeUnipile({ chats: { chat: [message('m1')] } });
    expect(await reconcile({ unipile })).toEqual({
      proof: [{ messageId: 'm1', result: { chat_id: 'chat' } }],
      candidates: [],
      absentAfterMs: maxLateMs,
      text: 'the message is in the chat',
    });
    expect(queries).toEqual([{ chatId: 'chat', since: at(-86_400), signal }]);
  });

  it('proves absence after the longest delay of a message, if the whole chat was read', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m1', 'Who are you?', 5, false)] } });
    expect(await reconcile({ unipile })).toMatchObject({
      proof: [],
      candidates: [],
      absentAfterMs: maxLateMs,
    });
  });

  it('finds a candidate in any other message of ours', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m1', 'something else')] } });
    expect(await reconcile({ unipile })).toMatchObject({ proof: [], candidates: ['m1'] });
  });

  it('does not prove absence if the chat may have more than was read', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [] }, complete: false });
    expect(await reconcile({ unipile })).toMatchObject({ proof: [], absentAfterMs: null });
  });

  it('finds no proof in messages of the other person', async () => {
    const { unipile } = fakeUnipile({
      chats: { chat: [message('m1', 'hello', 5, false), message('m2', '', 5, false)] },
    });
    // The same text may be ours, listed with the wrong sender.
    expect(await reconcile({ unipile })).toMatchObject({ proof: [], candidates: ['m1'] });
  });

  it('finds proof in receipts too, and counts each message once', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m2')] } });
    const receipts = [
      { message_id: 'm1', chat_id: 'chat', body: 'hello', said_at: at(2) },
      { message_id: 'm2', chat_id: 'chat', body: 'hello', said_at: at(5) },
    ];
    const evidence = { receipts, others: ['good morning'] };
    const { proof } = await reconcile({ unipile }, dm, { evidence });
    expect(proof.map(({ messageId }) => messageId)).toEqual(['m1', 'm2']);
  });

  it('finds proof in a message that the provider attributes to the other person if a receipt says that it is ours, even without its text', async () => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m1', 'hello', 5, false)] } });
    const { proof } = await reconcile({ unipile }, dm, { evidence: evidenceOf({ body: null }) });
    expect(proof.map(({ messageId }) => messageId)).toEqual(['m1']);
  });

  it.each([
    ['of another shape', { message_id: 'm1' }],
    ['without a body', evidenceOf({ body: null })],
    ['without an instant', evidenceOf({ said_at: null })],
    ['a string', 'x'],
  ])('still reads the chat if the evidence is %s', async (_name, evidence) => {
    const { unipile } = fakeUnipile({ chats: { chat: [message('m2')] } });
    const { proof } = await reconcile({ unipile }, dm, { evidence });
    expect(proof.map(({ messageId }) => messageId)).toEqual(['m2']);
  });
});

describe('a check beside another unknown message to the same person', () => {
  const found = fakeUnipile({ chats: { chat: [message('m1')] } });

  it('finds only a candidate if both have the same text', async () => {
    const evidence = { receipts: [], others: [' hello\n'] };
    expect(await reconcile(found, dm, { evidence })).toMatchObject({ proof: [], candidates: ['m1'] });
  });

  it('finds proof by its own text', async () => {
    const evidence = { receipts: [], others: ['hello you'] };
    expect(await reconcile(found, dm, { evidence })).toMatchObject({
      proof: [{ messageId: 'm1' }],
      candidates: [],
    });
  });
});

describe('a check of a message that opens a chat', () => {
  const opening = { ...dm, chat_id: null };

  it('searches every chat with the person, and returns the chat of the proof', async () => {
    const { unipile, queries } = fakeUnipile({
      chats: { one: [message('m1', 'other')], two: [message('m2')] },
    });
    expect(await reconcile({ unipile }, opening)).toMatchObject({
      proof: [{ messageId: 'm2', result: { chat_id: 'two' } }],
    });
    expect(queries[0]).toEqual({ attendeeId: 'bob', accountId: 'acc' });
    expect(queries.slice(1).map((query) => query.chatId)).toEqual(['one', 'two']);
  });

  it.each<[string, Shown['chats']]>([
    ['there is no chat', {}],
    ['no chat has it', { one: [], two: [message('m1', 'other', 5, false)] }],
  ])('never proves absence: %s', async (_name, chats) => {
    const { unipile } = fakeUnipile({ chats });
    const finding = await reconcile({ unipile }, opening);
    expect(finding).toMatchObject({ proof: [], candidates: [], absentAfterMs: null });
    expect(finding.text).toMatch(/may not be listed/);
  });
});

describe('a check', () => {
  it('of a WhatsApp message makes no call: only webhooks report it', async () => {
    const { unipile, queries } = fakeUnipile({ chats: { chat: [message('m1')] } });
    const whatsapp = { ...account, provider: 'whatsapp_cloud' };
    expect(await reconcile({ unipile }, dm, { account: whatsapp })).toMatchObject({
      text: 'WhatsApp cannot be queried, and no webhook has reported the message yet',
      proof: [],
      absentAfterMs: null,
    });
    expect(queries).toEqual([]);
  });

  it('fails if the provider is not configured, or does not respond', async () => {
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
      'to a person, and returns the new chat',
      { ...dm, chat_id: null },
      { recipient: 'bob', accountId: 'acc' },
      'new-chat',
    ],
  ])('over LinkedIn sends its message %s', async (_name, row, query, chatId) => {
    const { unipile, queries } = fakeUnipile({ chats: {} });
    const outcome = await dmQueue.perform(row, context({ unipile }, 'unipile'));
    expect(queries).toEqual([{ ...query, text: 'hello', signal }]);
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

  const lastWroteAt = '2026-03-02T11:00:00+00:00';
  const open = { last_reply_at: lastWroteAt, in_window: true };
  const closed = { last_reply_at: lastWroteAt, in_window: false };
  const unknowable = { last_reply_at: null, in_window: null };
  const template = { name: 'day_1', language: 'en', parameters: ['Ada'] };

  /** Runs an attempt, and returns its outcome and its deliveries. */
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

  it('an attempt sends a reference to its row and claim, which the status webhooks echo', async () => {
    const { outcome, delivered } = await attempt({}, open);
    expect(delivered).toMatchObject([
      { account: 'acc', recipient: '+491510', text: 'hello', reference: 'dm_queue/7/claim-1' },
    ]);
    expect(outcome).toEqual({ kind: 'done', result: { provider_message_id: delivered[0]?.id } });
  });

  it.each<[name: string, sent: string, row: object, facts: unknown, knowsReplies: boolean]>([
    ['the text within the window', 'hello', { template, enrolment_id: 3 }, open, true],
    ['the template outside the window', 'day_1 (en): Ada', { template }, closed, true],
    [
      'the template to a person who never wrote',
      'day_1 (en): Ada',
      { template, enrolment_id: 3 },
      null,
      true,
    ],
    ['the template if replies are not known', 'day_1 (en): Ada', { template }, null, false],
    ['the text if replies are not known and there is no template', 'hello', {}, closed, false],
    ['the text of a sequence if the window cannot be known', 'hello', { enrolment_id: 3 }, unknowable, true],
    ['the template if the window cannot be known', 'day_1 (en): Ada', { template }, unknowable, true],
    ['the text of a row without a template and without facts', 'hello', { template: undefined }, null, false],
  ])('an attempt sends %s', async (_name, text, row, facts, knowsReplies) => {
    const { outcome, delivered } = await attempt(row, facts, knowsReplies);
    expect(outcome.kind).toBe('done');
    expect(delivered.map((one) => one.text)).toEqual([text]);
  });

  it.each<[name: string, row: object, facts: unknown, knowsReplies: boolean, last: string]>([
    ['of a sequence', { enrolment_id: 3 }, closed, false, lastWroteAt],
    ['if webhooks are set up', {}, closed, true, lastWroteAt],
    ['to a person who never wrote', {}, { last_reply_at: null, in_window: false }, true, 'never'],
  ])('makes no call outside the window for a message without a template: %s', async (...args) => {
    const [, row, facts, knowsReplies, last] = args;
    const { outcome, delivered } = await attempt(row, facts, knowsReplies);
    expect(outcome).toEqual({
      kind: 'dead',
      error: `outside WhatsApp's 24-hour window (the person last wrote ${last}): only an approved template may be sent`,
    });
    expect(delivered).toEqual([]);
  });

  it('a text that WhatsApp finds outside the window fails, and is not a refusal of the account', async () => {
    const { outcome } = await attempt({ recipient: '+491511' }, null);
    expect(outcome).toEqual({ kind: 'dead', error: expect.stringContaining('131047') });
  });
});
