import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount({ provider: 'whatsapp_cloud' });
});

interface Row {
  id: string;
  claim_id: string;
}
const status = ({ id, claim_id }: Row, word: string, more: object = {}) => ({
  kind: 'status',
  status: word,
  message_id: 'wamid-1',
  reference: `dm_queue/${id}/${claim_id}`,
  recipient: 'bob',
  said_at: sql.now,
  ...more,
});
/** Runs a tick that has nothing else to do. */
const idleTick = () => sql.tick().exchange({ want: 5, close: true });
/** Receives statuses of one row, and lets a tick apply them. */
async function apply(row: Row, words: string[], more: object = {}) {
  await sql.receive(words.map((word) => status(row, word, more)));
  sql.pass(60);
  await idleTick();
  return sql.dm(row.id);
}
const receipts = () => database.sql('select * from punctual.receipts order by id');

/** Claims the account's due row, or a new one. */
async function claim() {
  const tick = sql.tick();
  const { rows, claimId: claim_id } = await tick.claim();
  return { id: rows[0]?.id ?? '', claim_id, tick };
}
async function addRunning() {
  await sql.addDm(account, { channel: 'whatsapp', recipient: 'bob' });
  return claim();
}
async function settleAsSent(
  { id, claim_id, tick }: Awaited<ReturnType<typeof claim>>,
  messageId = 'wamid-1',
) {
  const result = { provider_message_id: messageId };
  await tick.settle([{ id, claim_id, outcome: 'done', result }], { close: true });
  return { id, claim_id };
}
async function addResolved(decision: string): Promise<Row> {
  const row = await sql.addUnknown(account);
  await sql.resolve(row.id, decision);
  return row;
}

describe('a receipt', () => {
  it('changes no row on arrival: the next tick applies it', async () => {
    const row = await sql.addUnknown(account);
    expect(await sql.receive([status(row, 'sent')])).toEqual({ received: 1, new: 1 });
    expect(await sql.dm(row.id)).toMatchObject({ status: 'unknown' });
    await idleTick();
    const sent = { status: 'sent', provider_message_id: 'wamid-1', reconcile_at: null };
    expect(await sql.dm(row.id)).toMatchObject(sent);
    expect((await sql.history(row.id)).at(-1)).toEqual(['receipt', 'the provider says that it is sent']);
  });

  it('keeps a tick that already runs from claiming a row that is pending again', async () => {
    const row = await addResolved('pending');
    const running = sql.tick();
    await running.exchange();
    await sql.receive([status(row, 'delivered')]);
    expect((await running.claim()).rows).toEqual([]);
    await running.close();
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({ status: 'sent', attempts: 1 });
  });

  it('is stored and applied once, however often it is repeated', async () => {
    const row = await sql.addUnknown(account);
    const words = ['sent', 'sent', 'delivered'];
    const statuses = words.map((word) => status(row, word));
    expect(await sql.receive(statuses)).toEqual({ received: 3, new: 2 });
    await idleTick();
    const before = [await sql.dm(row.id), await sql.history(row.id)];
    for (let n = 0; n < 3; n++) {
      sql.pass(60);
      expect(await sql.receive(statuses)).toEqual({ received: 3, new: 0 });
      await idleTick();
    }
    expect([await sql.dm(row.id), await sql.history(row.id)]).toEqual(before);
    expect(await receipts()).toHaveLength(2);
  });

  it.each(['unknown', 'retry', 'dead'])('of a running row is applied when it ends as %s', async (outcome) => {
    const { id, claim_id, tick } = await addRunning();
    expect(await apply({ id, claim_id }, ['delivered'])).toMatchObject({ status: 'sending' });
    await tick.settle([{ id, claim_id, outcome, error: 'no answer', delay_seconds: 0 }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'wamid-1' });
    expect((await tick.claim()).rows).toEqual([]);
  });

  it('is applied to a row whose tick died, once the row is swept', async () => {
    const row = await addRunning();
    await sql.receive([status(row, 'sent')]);
    sql.pass(100);
    await sql.tick().claim();
    sql.pass(100);
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({ status: 'sent' });
  });

  it('prevents a second send of a row that an operator made pending, even behind 250 other receipts', async () => {
    const done = await settleAsSent(await addRunning());
    const row = await addResolved('pending');
    const others = Array.from({ length: 250 }, (_, n) => status(done, 'read', { message_id: `other-${n}` }));
    await sql.receive([...others, status(row, 'sent', { message_id: 'its-own' })]);
    expect((await claim()).id).toBe('');
    expect(await sql.dm(row.id)).toMatchObject({ status: 'sent', attempts: 1 });
  });

  it.each(['dead', 'cancelled'])('of a delivery overrides an operator who decided %s', async (decision) => {
    const row = await addResolved(decision);
    expect(await apply(row, ['delivered'])).toMatchObject({ status: 'sent', last_error: null });
  });

  it('of a failure makes a done row failed, with the provider’s error', async () => {
    const row = await settleAsSent(await addRunning());
    const error = '131026: not on WhatsApp';
    expect(await apply(row, ['failed'], { error })).toMatchObject({ status: 'failed', last_error: error });
    expect((await sql.history(row.id)).at(-1)?.[1]).toContain(error);
  });

  it('of a failure ends an unknown row, which is neither checked nor sent again', async () => {
    const ended = { status: 'failed', reconcile_at: null, last_error: expect.any(String) };
    expect(await apply(await sql.addUnknown(account), ['failed'])).toMatchObject(ended);
  });

  it('of an earlier attempt’s failure does not change a row that a later attempt sent', async () => {
    const first = await addResolved('pending');
    await settleAsSent(await claim(), 'wamid-2');
    expect(await apply(first, ['failed'])).toMatchObject({ status: 'sent', provider_message_id: 'wamid-2' });
  });
});

it.each([
  [['failed', 'sent'], 'failed'],
  [['sent', 'failed'], 'failed'],
  [['failed', 'delivered'], 'sent'],
  [['delivered', 'failed'], 'sent'],
  [['read', 'failed', 'sent'], 'sent'],
  [['failed', 'sent', 'delivered', 'read'], 'sent'],
])('receipts out of order, %j, in one tick or one per tick, leave the row %s', async (words, expected) => {
  const [together, apart] = [await sql.addUnknown(account), await sql.addUnknown(account)];
  expect(await apply(together, words)).toMatchObject({ status: expected });
  for (const word of words) await apply(apart, [word], { message_id: 'wamid-2' });
  expect(await sql.dm(apart.id)).toMatchObject({ status: expected });
});

describe('a receipt for no row of ours', () => {
  const uuid = crypto.randomUUID();
  it.each([
    'order-4711',
    `invoices/1/${uuid}`,
    `dm_queue//${uuid}`,
    `dm_queue/1e3/${uuid}`,
    `dm_queue/-1/${uuid}`,
    `dm_queue/99999999999999999999999/${uuid}`,
    `dm_queue/1; drop table punctual.receipts/${uuid}`,
    '',
    null,
    `dm_queue/987654321/${uuid}`,
  ])('is kept, changes nothing and blocks no other: %j', async (reference) => {
    const [row, other] = [await sql.addUnknown(account), await sql.addUnknown(account)];
    const stray = status(row, 'sent', { reference });
    await sql.receive([stray, status(other, 'sent', { message_id: 'wamid-2' })]);
    expect(await idleTick()).toMatchObject({ admitted: true });
    expect([await sql.dm(row.id), await sql.dm(other.id)]).toMatchObject([
      { status: 'unknown' },
      { status: 'sent' },
    ]);
    expect((await receipts())[0]).toMatchObject({ message_id: 'wamid-1', status: 'sent', reference });
  });

  it('proves nothing about a row with the same id that was never claimed', async () => {
    const id = await sql.addDm(account, { recipient: 'bob' });
    await sql.receive([status({ id, claim_id: uuid }, 'sent')]);
    expect((await claim()).id).toBe(id);
  });

  it.each([
    ['another account', { provider_account_id: 'somebody else' }, 'whatsapp_cloud'],
    ['another provider', {}, 'unipile'],
  ])('proves nothing when it comes from %s than the row’s', async (_case, more, provider) => {
    const row = await sql.addUnknown(account);
    await sql.receive([status(row, 'sent', more)], provider);
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({ status: 'unknown' });
  });
});

describe('messages reported by webhook', () => {
  const message = { kind: 'message', status: 'sent', body: 'hello', provider_account_id: 'acc' };
  const receive = (messages: object[]) =>
    sql.receive(
      messages.map((one, n) => ({ ...message, message_id: `m${n + 1}`, said_at: sql.now, ...one })),
      'unipile',
    );
  const evidence = async () => (await sql.takeUnknown()).map((one) => one.evidence);
  let own: string;
  beforeEach(async () => {
    own = await sql.addAccount({ provider_account_id: 'acc' });
  });

  it('are evidence for a check only if they are from the row’s account to its chat or person', async () => {
    await sql.addUnknown(own, { chat_id: 'chat', recipient: 'bob' });
    await receive([
      { chat_id: 'chat' },
      { chat_id: 'other', recipient: 'bob' },
      { chat_id: 'other', recipient: 'eve' },
      { provider_account_id: 'another', chat_id: 'chat' },
      { status: 'received', chat_id: 'chat' },
    ]);
    sql.pass(30);
    const chat = { message_id: 'm1', chat_id: 'chat', body: 'hello' };
    expect(await evidence()).toMatchObject([{ receipts: [chat, { message_id: 'm2' }] }]);
  });

  it('come with the texts of other unknown rows from the same account to the same person', async () => {
    const other = await sql.addAccount({ provider_account_id: 'other' });
    for (const [owner, chat_id, body] of [
      [own, 'chat', 'one'],
      [own, 'chat', 'two'],
      [own, 'elsewhere', 'three'],
      [other, 'chat', 'four'],
    ] as const)
      await sql.addUnknown(owner, { chat_id, body });
    sql.pass(30);
    const others = [['two'], ['one'], [], []];
    expect(await evidence()).toMatchObject(others.map((texts) => ({ others: texts })));
  });

  it('settle no row by themselves', async () => {
    const row = await sql.addUnknown(own, { chat_id: 'chat' });
    await receive([{ chat_id: 'chat' }]);
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({ status: 'unknown' });
    expect(await evidence()).toEqual([]);
  });
});

it('receipts are kept for 30 days', async () => {
  const row = await settleAsSent(await addRunning());
  await sql.receive([status(row, 'sent', { message_id: 'old' })]);
  sql.pass(86_400);
  await sql.receive([status(row, 'sent', { message_id: 'young' })]);
  const prune = () => database.rpc('prune', { p_limit: 100, p_now: sql.now });
  sql.pass(29 * 86_400);
  await prune();
  expect(await receipts()).toHaveLength(2);
  sql.pass(1);
  await prune();
  expect(await receipts()).toMatchObject([{ message_id: 'young' }]);
});
