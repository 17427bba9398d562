import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import type { Finding } from '../../../lib/engine/ports/queue-store.ts';
import type { ChatMessage, Unipile } from '../../../lib/providers/unipile/unipile.ts';
import { whatsappCloud } from '../../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { type DmProviders, dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../lib/sandbox/shapes/whatsapp-shape.ts';

const attemptedAt = '2026-03-02T12:00:00.000Z';
const at = (seconds: number) => new Date(Date.parse(attemptedAt) + seconds * 1_000).toISOString();
const unipileMaxLateMs = 600_000;

const message = (id: string, text = 'hello', fromUs = true): ChatMessage => ({
  id,
  chatId: 'chat',
  text,
  at: at(5),
  fromUs,
});

/** Makes a client for which these are the chats with the person. It notes the queries. */
function fakeUnipile(chats: Record<string, ChatMessage[]>, complete = true) {
  const queries: Record<string, unknown>[] = [];
  const note = <Answer>(query: Record<string, unknown>, answer: Answer) => {
    queries.push(query);
    return Promise.resolve(answer);
  };
  const unipile: Unipile = {
    sendMessage: (query) => note(query, { messageId: 'sent', chatId: query.chatId }),
    startChat: (query) => note(query, { messageId: 'sent', chatId: 'new-chat' }),
    listMessages: ({ chatId, since, signal }) => {
      const messages = (chats[chatId] ?? []).map((one) => ({ ...one, chatId }));
      return note({ chatId, since, signal }, { messages, complete });
    },
    listChats: ({ attendeeId, accountId }) =>
      note(
        { attendeeId, accountId },
        Object.keys(chats).map((id) => ({ id })),
      ),
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

function reconcile(providers: Partial<DmProviders>, row = dm, more: object = {}): Promise<Finding> {
  const deps = { unipileMaxLateMs, ...providers };
  const context = { deps, signal, log: silentLog, account, attemptedAt, evidence: null, ...more };
  return dmQueue.reconcile?.(row, context) ?? Promise.reject(new Error('it has no reconcile'));
}
const proofOf = async (...args: Parameters<typeof reconcile>) =>
  (await reconcile(...args)).proof.map(({ messageId }) => messageId);

describe('a check of a message in a known chat', () => {
  it('finds proof by the text, and reads the chat from a day before the attempt on', async () => {
    const { unipile, queries } = fakeUnipile({ chat: [message('m1')] });
    expect(await reconcile({ unipile })).toEqual({
      proof: [{ messageId: 'm1', result: { chat_id: 'chat' } }],
      candidates: [],
      absentAfterMs: unipileMaxLateMs,
      text: 'the message is in the chat',
    });
    expect(queries).toEqual([{ chatId: 'chat', since: at(-86_400), signal }]);
  });

  const theirs = (text: string) => message('m1', text, false);
  const late = { absentAfterMs: unipileMaxLateMs };
  const candidates = ['m1'];
  it.each<[name: string, messages: ChatMessage[], complete: boolean, finding: object]>([
    ['proves absence after the longest delay of a message', [theirs('Who are you?')], true, late],
    ['does not prove absence if the chat may have more than was read', [], false, { absentAfterMs: null }],
    ['finds a candidate in any other message of ours', [message('m1', 'else')], true, { candidates }],
    // It may be ours, listed with the wrong sender.
    ['finds a candidate in the same text of the other person', [theirs('hello')], true, { candidates }],
  ])('%s', async (_name, messages, complete, finding) => {
    const found = await reconcile(fakeUnipile({ chat: messages }, complete));
    expect(found).toMatchObject({ proof: [], candidates: [], ...finding });
  });

  const receipt = { message_id: 'm1', chat_id: 'chat', body: 'hello', said_at: at(2) };
  const evidence = (changes: object) => ({ receipts: [{ ...receipt, ...changes }], others: ['good day'] });

  it('finds proof in receipts too, and counts each message once', async () => {
    const receipts = [receipt, { ...receipt, message_id: 'm2' }];
    const found = fakeUnipile({ chat: [message('m2')] });
    expect(await proofOf(found, dm, { evidence: { receipts, others: [] } })).toEqual(['m1', 'm2']);
  });

  it('finds proof in a message that the provider attributes to the other person if a receipt says that it is ours, even without its text', async () => {
    const found = fakeUnipile({ chat: [message('m1', 'hello', false)] });
    expect(await proofOf(found, dm, { evidence: evidence({ body: null }) })).toEqual(['m1']);
  });

  it.each([
    ['of another shape', { message_id: 'm1' }],
    ['without a body', evidence({ body: null })],
    ['without an instant', evidence({ said_at: null })],
    ['a string', 'x'],
  ])('still reads the chat if the evidence is %s', async (_name, evidence) => {
    expect(await proofOf(fakeUnipile({ chat: [message('m2')] }), dm, { evidence })).toEqual(['m2']);
  });

  it.each([
    ['only a candidate if another unknown message to the person has the same text', ' hello\n', []],
    ['proof by its own text beside another unknown message', 'hello you', ['m1']],
  ])('finds %s', async (_name, other, proof) => {
    const found = fakeUnipile({ chat: [message('m1')] });
    expect(await proofOf(found, dm, { evidence: { receipts: [], others: [other] } })).toEqual(proof);
  });
});

describe('a check of a message that opens a chat', () => {
  const opening = { ...dm, chat_id: null };

  it('searches every chat with the person, and returns the chat of the proof', async () => {
    const { unipile, queries } = fakeUnipile({ one: [message('m1', 'other')], two: [message('m2')] });
    expect(await reconcile({ unipile }, opening)).toMatchObject({
      proof: [{ messageId: 'm2', result: { chat_id: 'two' } }],
    });
    expect(queries).toMatchObject([
      { attendeeId: 'bob', accountId: 'acc' },
      { chatId: 'one' },
      { chatId: 'two' },
    ]);
  });

  it.each<[string, Record<string, ChatMessage[]>]>([
    ['there is no chat', {}],
    ['no chat has it', { one: [], two: [message('m1', 'other', false)] }],
  ])('never proves absence: %s', async (_name, chats) => {
    expect(await reconcile(fakeUnipile(chats), opening)).toMatchObject({
      proof: [],
      candidates: [],
      absentAfterMs: null,
      text: expect.stringMatching(/may not be listed/),
    });
  });
});

it('a check of a WhatsApp message makes no call: only webhooks report it', async () => {
  const { unipile, queries } = fakeUnipile({ chat: [message('m1')] });
  expect(await reconcile({ unipile }, dm, { account: { ...account, provider: 'whatsapp_cloud' } })).toEqual({
    text: 'WhatsApp cannot be queried, and no webhook has reported the message yet',
    proof: [],
    candidates: [],
    absentAfterMs: null,
  });
  expect(queries).toEqual([]);
});

it('a check fails if the provider is not configured, or does not respond', async () => {
  await expect(reconcile({})).rejects.toThrow(/messages cannot be read from the provider unipile/);
  const { unipile } = fakeUnipile({});
  const broken = { ...unipile, listMessages: () => Promise.reject(new Error('503')) };
  await expect(reconcile({ unipile: broken })).rejects.toThrow('503');
});

/** Runs an attempt. */
const perform = (row: object, deps: Partial<DmProviders>, provider: string, facts: unknown = null) =>
  dmQueue.perform(dmQueue.row.parse({ ...dm, ...row }), {
    deps: { unipileMaxLateMs, ...deps },
    signal,
    log: silentLog,
    account: { ...account, provider },
    attempt: 1,
    claimId: 'claim-1',
    facts,
    progress: () => {},
  });

it.each([
  ['in its chat', 'chat', { chatId: 'chat' }, 'chat'],
  ['to a person, and returns the new chat', null, { recipient: 'bob' }, 'new-chat'],
])('an attempt over LinkedIn sends its message %s', async (_name, chat_id, to, chatId) => {
  const { unipile, queries } = fakeUnipile({});
  expect(await perform({ chat_id }, { unipile }, 'unipile')).toEqual({
    kind: 'done',
    result: { provider_message_id: 'sent', chat_id: chatId },
  });
  expect(queries).toEqual([{ ...to, accountId: 'acc', text: 'hello', signal }]);
});

describe('an attempt over WhatsApp', () => {
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
  const sequence = { enrolment_id: 3 };

  /** Runs an attempt, and returns its outcome and its deliveries. */
  async function attempt(changes: object, facts: unknown, whatsappKnowsReplies = false) {
    const before = sandbox.deliveries().length;
    const whatsapp_cloud = whatsappCloud({
      accessToken: SANDBOX_ACCESS_TOKEN,
      apiVersion: 'v23.0',
      baseUrl: sandbox.url,
    });
    const row = { channel: 'whatsapp', recipient: '+491510', ...changes };
    const outcome = await perform(row, { whatsapp_cloud, whatsappKnowsReplies }, 'whatsapp_cloud', facts);
    return { outcome, delivered: sandbox.deliveries().slice(before) };
  }

  it('sends a reference to its row and claim, which the status webhooks echo', async () => {
    const { outcome, delivered } = await attempt({}, open);
    expect(delivered).toMatchObject([
      { account: 'acc', recipient: '+491510', text: 'hello', reference: 'dm_queue/7/claim-1' },
    ]);
    expect(outcome).toEqual({ kind: 'done', result: { provider_message_id: delivered[0]?.id } });
  });

  const asTemplate = 'day_1 (en): Ada';
  it.each<[name: string, sent: string, row: object, facts: unknown, knowsReplies: boolean]>([
    ['the text within the window', 'hello', { template, ...sequence }, open, true],
    ['the template outside the window', asTemplate, { template }, closed, true],
    ['the template to a person who never wrote', asTemplate, { template, ...sequence }, null, true],
    ['the template if replies are not known', asTemplate, { template }, null, false],
    ['the text if replies are not known and there is no template', 'hello', {}, closed, false],
    ['the text of a sequence if the window cannot be known', 'hello', sequence, unknowable, true],
    ['the template if the window cannot be known', asTemplate, { template }, unknowable, true],
    ['the text of a row without a template and without facts', 'hello', { template: undefined }, null, false],
  ])('sends %s', async (_name, text, row, facts, knowsReplies) => {
    const { outcome, delivered } = await attempt(row, facts, knowsReplies);
    expect(outcome.kind).toBe('done');
    expect(delivered).toMatchObject([{ text }]);
  });

  it.each<[name: string, row: object, facts: unknown, knowsReplies: boolean, last: string]>([
    ['of a sequence', sequence, closed, false, lastWroteAt],
    ['if webhooks are set up', {}, closed, true, lastWroteAt],
    ['to a person who never wrote', {}, { ...closed, last_reply_at: null }, true, 'never'],
  ])('makes no call outside the window for a message without a template %s', async (...args) => {
    const [, row, facts, knowsReplies, last] = args;
    const { outcome, delivered } = await attempt(row, facts, knowsReplies);
    expect(outcome).toEqual({
      kind: 'dead',
      error: `outside WhatsApp's 24-hour window (the person last wrote ${last}): only an approved template may be sent`,
    });
    expect(delivered).toEqual([]);
  });

  it('of a text that WhatsApp finds outside the window fails, and is not a refusal of the account', async () => {
    const { outcome } = await attempt({ recipient: '+491511' }, null);
    expect(outcome).toEqual({ kind: 'dead', error: expect.stringContaining('131047') });
  });
});
