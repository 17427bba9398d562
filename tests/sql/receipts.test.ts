import { beforeEach, describe, expect, it } from 'vitest';
import type { exchanges } from '../support/exchanges.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
  account = await sql.addAccount({ provider: 'whatsapp_cloud' });
});

interface Row {
  id: string;
  claim_id: string;
}
const referenceOf = ({ id, claim_id }: Row) => `dm_queue/${id}/${claim_id}`;
const status = (row: Row, word: string, more: object = {}) => ({
  kind: 'status',
  status: word,
  message_id: 'wamid-1',
  reference: referenceOf(row),
  recipient: 'bob',
  said_at: sql.now,
  ...more,
});
/** Runs a tick that has nothing else to do. */
const idleTick = () => sql.tick().exchange({ want: 5, close: true });
const receipts = () => database.sql('select * from punctual.receipts order by id');

async function addRunning(): Promise<Row & { tick: ReturnType<ReturnType<typeof exchanges>['tick']> }> {
  const id = await sql.addDm(account, { channel: 'whatsapp', recipient: 'bob' });
  const tick = sql.tick();
  const { claimId } = await tick.claim();
  return { id, claim_id: claimId, tick };
}

async function addDone(messageId = 'wamid-1'): Promise<Row> {
  const { id, claim_id, tick } = await addRunning();
  const result = { provider_message_id: messageId };
  await tick.settle([{ id, claim_id, outcome: 'done', result }], { close: true });
  return { id, claim_id };
}

describe('a receipt', () => {
  it('changes no row on arrival: the next tick applies it', async () => {
    const row = await sql.addUnknown(account);
    expect(await sql.receive([status(row, 'sent')])).toEqual({ received: 1, new: 1 });
    expect(await sql.dm(row.id)).toMatchObject({ status: 'unknown' });
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({
      status: 'sent',
      provider_message_id: 'wamid-1',
      reconcile_at: null,
    });
    expect((await sql.history(row.id)).at(-1)).toEqual(['receipt', 'the provider says that it is sent']);
  });

  it('keeps a tick that already runs from claiming a row that is pending again', async () => {
    const row = await sql.addUnknown(account);
    await sql.resolve(row.id, 'pending');
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
    const statuses = [status(row, 'sent'), status(row, 'sent'), status(row, 'delivered')];
    expect(await sql.receive(statuses)).toEqual({ received: 3, new: 2 });
    await idleTick();
    const [before, history] = [await sql.dm(row.id), await sql.history(row.id)];
    for (let n = 0; n < 3; n++) {
      sql.pass(60);
      expect(await sql.receive(statuses)).toEqual({ received: 3, new: 0 });
      await idleTick();
    }
    expect([await sql.dm(row.id), await sql.history(row.id)]).toEqual([before, history]);
    expect(await receipts()).toHaveLength(2);
  });

  it.each(['unknown', 'retry', 'dead'])(
    'that arrives while the row runs is applied when the row is settled as %s',
    async (outcome) => {
      const { id, claim_id, tick } = await addRunning();
      await sql.receive([status({ id, claim_id }, 'delivered')]);
      await idleTick();
      expect(await sql.dm(id)).toMatchObject({ status: 'sending' });
      await tick.settle([{ id, claim_id, outcome, error: 'no answer', delay_seconds: 0 }]);
      expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'wamid-1' });
      expect((await tick.claim()).rows).toEqual([]);
    },
  );

  it('is applied to a row whose tick died, once the row is swept', async () => {
    const { id, claim_id } = await addRunning();
    await sql.receive([status({ id, claim_id }, 'sent')]);
    sql.pass(100);
    await sql.tick().claim();
    await idleTick();
    sql.pass(100);
    await idleTick();
    expect(await sql.dm(id)).toMatchObject({ status: 'sent' });
  });

  it('prevents a second send of a row that an operator made pending', async () => {
    const row = await sql.addUnknown(account);
    await sql.resolve(row.id, 'pending');
    await sql.receive([status(row, 'sent')]);
    expect((await sql.tick().claim()).rows).toEqual([]);
    expect(await sql.dm(row.id)).toMatchObject({ status: 'sent', attempts: 1 });
  });

  it('prevents a second send even behind 250 other receipts', async () => {
    const done = await addDone();
    const row = await sql.addUnknown(account);
    await sql.resolve(row.id, 'pending');
    const others = Array.from({ length: 250 }, (_, n) => status(done, 'read', { message_id: `other-${n}` }));
    await sql.receive(others);
    await sql.receive([status(row, 'sent', { message_id: 'its-own' })]);
    expect((await sql.tick().claim()).rows).toEqual([]);
    expect(await sql.dm(row.id)).toMatchObject({ status: 'sent', attempts: 1 });
  });

  it.each(['dead', 'cancelled'])('of a delivery overrides an operator who decided %s', async (decision) => {
    const row = await sql.addUnknown(account);
    await sql.resolve(row.id, decision);
    await sql.receive([status(row, 'delivered')]);
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({ status: 'sent', last_error: null });
  });

  it('of a failure makes a done row failed, with the provider’s error', async () => {
    const row = await addDone();
    await sql.receive([status(row, 'failed', { error: '131026: not on WhatsApp' })]);
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({ status: 'failed', last_error: '131026: not on WhatsApp' });
    expect((await sql.history(row.id)).at(-1)?.[1]).toContain('131026: not on WhatsApp');
  });

  it('of a failure ends an unknown row, which is neither checked nor sent again', async () => {
    const row = await sql.addUnknown(account);
    await sql.receive([status(row, 'failed')]);
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({
      status: 'failed',
      reconcile_at: null,
      last_error: expect.any(String),
    });
  });

  it('of an earlier attempt’s failure does not change a row that a later attempt sent', async () => {
    const first = await sql.addUnknown(account);
    await sql.resolve(first.id, 'pending');
    const tick = sql.tick();
    const { claimId } = await tick.claim();
    await tick.settle(
      [{ id: first.id, claim_id: claimId, outcome: 'done', result: { provider_message_id: 'wamid-2' } }],
      { close: true },
    );
    await sql.receive([status(first, 'failed', { message_id: 'wamid-1', error: 'could not be delivered' })]);
    await idleTick();
    expect(await sql.dm(first.id)).toMatchObject({ status: 'sent', provider_message_id: 'wamid-2' });
  });
});

describe('receipts out of order', () => {
  it.each([
    [['failed', 'sent'], 'failed'],
    [['sent', 'failed'], 'failed'],
    [['failed', 'delivered'], 'sent'],
    [['delivered', 'failed'], 'sent'],
    [['read', 'failed', 'sent'], 'sent'],
    [['failed', 'sent', 'delivered', 'read'], 'sent'],
  ])('%j, in one tick or one per tick, leave the row %s', async (words, expected) => {
    const [together, apart] = [await sql.addUnknown(account), await sql.addUnknown(account)];
    await sql.receive(words.map((word) => status(together, word)));
    await idleTick();
    for (const word of words) {
      await sql.receive([status(apart, word, { message_id: 'wamid-2' })]);
      sql.pass(60);
      await idleTick();
    }
    expect([(await sql.dm(together.id)).status, (await sql.dm(apart.id)).status]).toEqual([
      expected,
      expected,
    ]);
  });
});

describe('a receipt for no row of ours', () => {
  const uuid = crypto.randomUUID();
  it.each([
    ['another system’s reference', 'order-4711'],
    ['an unknown queue', `invoices/1/${uuid}`],
    ['no id', `dm_queue//${uuid}`],
    ['an id in another form', `dm_queue/1e3/${uuid}`],
    ['a negative id', `dm_queue/-1/${uuid}`],
    ['an id out of range', `dm_queue/99999999999999999999999/${uuid}`],
    ['SQL', `dm_queue/1; drop table punctual.receipts/${uuid}`],
    ['an empty text', ''],
    ['null', null],
    ['a row that does not exist', `dm_queue/987654321/${uuid}`],
  ])('is kept and changes nothing: %s', async (_case, reference) => {
    const row = await sql.addUnknown(account);
    await sql.receive([status(row, 'sent', { reference })]);
    expect(await idleTick()).toMatchObject({ admitted: true });
    expect(await sql.dm(row.id)).toMatchObject({ status: 'unknown' });
    expect(await receipts()).toMatchObject([{ message_id: 'wamid-1', status: 'sent', reference }]);
  });

  it('proves nothing about a row with the same id that was never claimed', async () => {
    const id = await sql.addDm(account, { recipient: 'bob' });
    await sql.receive([status({ id, claim_id: uuid }, 'sent')]);
    expect((await sql.tick().claim()).rows.map((row) => row.id)).toEqual([id]);
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

  it('does not block the other receipts of its call', async () => {
    const row = await sql.addUnknown(account);
    await sql.receive([status(row, 'sent', { reference: 'order-1', message_id: 'x' }), status(row, 'sent')]);
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({ status: 'sent' });
  });
});

describe('messages reported by webhook', () => {
  const message = (more: object) => ({
    kind: 'message',
    status: 'sent',
    message_id: 'm1',
    body: 'hello',
    said_at: sql.now,
    ...more,
  });
  const evidence = async () => {
    return (await sql.takeUnknown()).map((one) => one.evidence);
  };

  it('are evidence for a check only if they are from the row’s account to its chat or person', async () => {
    const unipile = await sql.addAccount({ provider_account_id: 'acc' });
    await sql.addUnknown(unipile, { chat_id: 'chat', recipient: 'bob' });
    await sql.receive(
      [
        message({ provider_account_id: 'acc', chat_id: 'chat' }),
        message({ message_id: 'm2', provider_account_id: 'acc', chat_id: 'other', recipient: 'bob' }),
        message({ message_id: 'm3', provider_account_id: 'acc', chat_id: 'other', recipient: 'eve' }),
        message({ message_id: 'm4', provider_account_id: 'another', chat_id: 'chat' }),
        message({ message_id: 'm5', status: 'received', provider_account_id: 'acc', chat_id: 'chat' }),
      ],
      'unipile',
    );
    sql.pass(30);
    const [found] = (await evidence()) as { receipts: { message_id: string; body: string }[] }[];
    expect(found?.receipts.map(({ message_id }) => message_id)).toEqual(['m1', 'm2']);
    expect(found?.receipts[0]).toMatchObject({ chat_id: 'chat', body: 'hello' });
  });

  it('come with the texts of other unknown rows from the same account to the same person', async () => {
    const own = await sql.addAccount({ provider_account_id: 'acc' });
    const other = await sql.addAccount({ provider_account_id: 'other' });
    await sql.addUnknown(own, { chat_id: 'chat', body: 'one' });
    await sql.addUnknown(own, { chat_id: 'chat', body: 'two' });
    await sql.addUnknown(own, { chat_id: 'elsewhere', body: 'three' });
    await sql.addUnknown(other, { chat_id: 'chat', body: 'four' });
    sql.pass(30);
    expect(await evidence()).toMatchObject([
      { others: ['two'] },
      { others: ['one'] },
      { others: [] },
      { others: [] },
    ]);
  });

  it('settle no row by themselves', async () => {
    const unipile = await sql.addAccount({ provider_account_id: 'acc' });
    const row = await sql.addUnknown(unipile, { chat_id: 'chat' });
    await sql.receive([message({ provider_account_id: 'acc', chat_id: 'chat' })], 'unipile');
    await idleTick();
    expect(await sql.dm(row.id)).toMatchObject({ status: 'unknown' });
    expect(await evidence()).toEqual([]);
  });
});

it('receipts are kept for 30 days', async () => {
  const row = await addDone();
  await sql.receive([status(row, 'sent', { message_id: 'old' })]);
  sql.pass(86_400);
  await sql.receive([status(row, 'sent', { message_id: 'young' })]);
  const prune = async () => database.rpc('prune', { p_limit: 100, p_now: sql.now });
  sql.pass(29 * 86_400);
  await prune();
  expect(await receipts()).toHaveLength(2);
  sql.pass(1);
  await prune();
  expect(await receipts()).toMatchObject([{ message_id: 'young' }]);
});

describe('an operator’s decision', () => {
  it.each([
    ['done', 'sent', null, 'it was sent'],
    ['pending', 'pending', null, 'try it again'],
    ['dead', 'failed', 'he said so', 'mark it dead'],
    ['cancelled', 'cancelled', 'he said so', 'cancel it'],
  ])(
    '%s on an unknown row is applied and recorded in the history',
    async (decision, word, last_error, text) => {
      const { id } = await sql.addUnknown(account);
      expect(await sql.resolve(id, decision, 'he said so')).toEqual({ status: word });
      expect(await sql.dm(id)).toMatchObject({
        status: word,
        last_error,
        reconcile_at: null,
        lease_expires_at: null,
      });
      expect((await sql.history(id)).at(-1)).toEqual(['decided', `Ann decided: ${text} (he said so)`]);
      expect(await sql.drain()).toEqual(decision === 'pending' ? [id] : []);
      // An attempt that may have sent keeps its place, whatever the operator decides.
      expect((await sql.pace(account)).used).toBe(decision === 'pending' ? 2 : 1);
    },
  );

  it.each(['pending', 'sending', 'sent', 'failed', 'cancelled'])(
    'on a row that is %s is refused, and changes nothing',
    async (word) => {
      const id = await sql.addDm(account, { status: word });
      const before = await sql.dm(id);
      for (const decision of ['done', 'pending', 'dead', ...(word === 'pending' ? [] : ['cancelled'])])
        await expect(sql.resolve(id, decision)).rejects.toMatchObject({
          code: 'PT409',
          message: expect.stringContaining(word),
        });
      expect(await sql.dm(id)).toEqual(before);
      expect(await sql.history(id)).toEqual([]);
    },
  );

  it('cancels a pending row', async () => {
    const id = await sql.addDm(account);
    expect(await sql.resolve(id, 'cancelled')).toEqual({ status: 'cancelled' });
    expect(await sql.drain()).toEqual([]);
  });

  it('on a missing row, or of an unknown kind, is refused', async () => {
    await expect(sql.resolve('987654', 'done')).rejects.toMatchObject({ code: 'PT404' });
    const { id } = await sql.addUnknown(account);
    for (const decision of ['sending', 'unknown', 'running', 'perhaps', ''])
      await expect(sql.resolve(id, decision)).rejects.toMatchObject({ code: '22023' });
  });
});
