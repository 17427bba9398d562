import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: '1001' });
});

// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
const story = (id: string, queue = 'dm_queue'): Promise<any> =>
  database.rpc('read_row', { p_queue: queue, p_id: id, p_configured: null, p_now: sql.now });

/** Claims the account's due row, a second after the last act. */
async function claim() {
  sql.pass(1);
  const tick = sql.tick({ scheduler: 'vercel' });
  const { rows, claimId: claim_id } = await tick.claim(1);
  const id = rows[0]?.id ?? '';
  const settle = async (outcome: string, more: object = {}) => {
    sql.pass(2);
    const record = { id, claim_id, outcome, account_id: account, delay_seconds: 1, ...more };
    await tick.settle([record], { close: true });
  };
  return { id, claim_id, tick, settle };
}
const add = () => sql.addDm(account, { channel: 'whatsapp', recipient: 'bob', created_at: sql.now });
const sent = (provider_message_id: string | null) => ({ result: { provider_message_id } });
const failed = { error: 'no answer', ms: 15_000, kind: 'timeout', code: '504', answer: '<html>' };
const receipt = (id: string, claim: string, status: string, message_id: string) =>
  sql.receive([
    { kind: 'status', status, message_id, reference: `dm_queue/${id}/${claim}`, recipient: 'bob' },
  ]);
/** Makes the row due now, whatever it waits for. */
async function makeDue(id: string) {
  sql.pass(7_200);
  await database.sql('update punctual.dm_queue set next_attempt_at = null where id = $1', [id]);
}
const verdict = async (id: string) => (await story(id)).sent_once;

describe('the attempts of a row', () => {
  it('have their tick, duration, error and answer, and also those that succeeded under at-most-once', async () => {
    const id = await add();
    const first = await claim();
    await first.settle('retry', { ...failed, error: 'whatsapp answered 500' });
    await makeDue(id);
    const second = await claim();
    await second.settle('done', { ...sent('m1'), ms: 240 });
    const { attempts } = await story(id);
    expect(attempts).toMatchObject([
      {
        ...{ claim_id: first.claim_id, outcome: 'retry', duration_ms: 15_000, kind: 'timeout', code: '504' },
        ...{
          answer: '<html>',
          text: 'whatsapp answered 500',
          error_group: expect.stringMatching(/^[0-9a-f]{8}$/),
        },
        tick: { id: first.tick.id, scheduler: 'vercel' },
      },
      {
        ...{ claim_id: second.claim_id, outcome: 'done', duration_ms: 240, proof: 'm1', text: null },
        ...{ error_group: null, tick: { id: second.tick.id }, ended_at: expect.any(String) },
      },
    ]);
    expect(Date.parse(attempts[1].ended_at) - Date.parse(attempts[1].claimed_at)).toBe(2_000);
  });

  it('are read from the row while one runs, and where the history has none', async () => {
    await database.sql('create schema if not exists app');
    await database.sql('create table app.things (id bigint primary key, due timestamptz)');
    await database.sql(`select punctual.add_queue('things', 'app.things', 'due', 'at-least-once')`);
    await database.sql('insert into app.things values (1, $1)', [sql.at(-1)]);
    const tick = sql.tick({ queue: 'things' });
    const { claimId } = await tick.claim(1);
    const running = { claim_id: claimId, outcome: 'running', ended_at: null, tick: { id: tick.id } };
    expect(await story('1', 'things')).toMatchObject({
      state: 'running',
      attempts: [running],
      sent_once: null,
    });
    await tick.exchange({ outcomes: { done: [{ claim_id: claimId, ids: ['1'] }] } });
    const read = await story('1', 'things');
    expect(read).toMatchObject({ state: 'done', attempts: [{ claim_id: claimId, outcome: 'done' }] });
    expect(read.events).toMatchObject([
      { event: 'claimed', by: 'tick' },
      { event: 'done', by: 'attempt' },
    ]);
    expect(await database.sql('select * from punctual.history')).toEqual([]);
    await database.sql(`select punctual.remove_queue('things')`);
    await database.sql('drop table app.things');
  });

  it('of code that sends no details are kept without them', async () => {
    const id = await add();
    await (await claim()).settle('retry', { error: 'e' });
    expect((await story(id)).attempts).toMatchObject([
      { duration_ms: null, kind: null, answer: null, text: 'e' },
    ]);
  });
});

describe('the changes of a row', () => {
  it('say who made each', async () => {
    const id = await add();
    await (await claim()).settle('unknown', failed);
    await sql.resolve(id, 'pending', 'the phone shows nothing');
    await makeDue(id);
    await claim();
    sql.pass(3_600);
    await sql.tick().exchange({ want: 5, close: true });
    const { events, why, state, row } = await story(id);
    expect(events.map(({ event, by }: { event: string; by: string }) => [event, by])).toEqual([
      ['created', null],
      ['claimed', 'tick'],
      ['unknown', 'attempt'],
      ['decided', 'Ann'],
      ['claimed', 'tick'],
      ['swept', 'sweep'],
    ]);
    expect(state).toBe('unknown');
    expect(why.waits).toMatchObject([{ kind: 'reconcile' }]);
    expect(row).toMatchObject({ body: 'hello', recipient: 'bob' });
  });

  it('are null for a row that does not exist, and have no `why` for a status that is no word of the queue', async () => {
    expect(await story('404')).toBeNull();
    expect(await story('no id')).toBeNull();
    const id = await add();
    await database.sql('alter table punctual.dm_queue drop constraint dm_queue_status_check');
    await database.sql('alter table punctual.dm_queue disable trigger user');
    await database.sql(`update punctual.dm_queue set status = 'odd' where id = $1`, [id]);
    await database.sql('alter table punctual.dm_queue enable trigger user');
    expect(await story(id)).toMatchObject({ status: 'odd', state: null, why: null });
  });
});

describe('whether a row was sent once', () => {
  it('is not_sent before an attempt, and after attempts that failed before they had an effect', async () => {
    const id = await add();
    expect(await verdict(id)).toMatchObject({ verdict: 'not_sent', attempts: 0, ids: [] });
    await (await claim()).settle('retry', { ...failed, kind: 'not_sent' });
    expect(await verdict(id)).toMatchObject({ verdict: 'not_sent', attempts: 0 });
  });

  it('is under_way while the first attempt runs', async () => {
    const id = await add();
    await claim();
    expect(await verdict(id)).toMatchObject({ verdict: 'under_way', attempts: 0 });
  });

  it('is by_answer_alone until a receipt confirms the answer, and then once', async () => {
    const id = await add();
    const one = await claim();
    await one.settle('done', sent('m1'));
    expect(await verdict(id)).toEqual({
      ...{ verdict: 'by_answer_alone', attempts: 1, open: 0, failed_ids: [] },
      ids: [{ id: 'm1', by: ['answer', 'row'] }],
    });
    await receipt(id, one.claim_id, 'delivered', 'm1');
    expect(await verdict(id)).toMatchObject({
      ...{ verdict: 'once', attempts: 1 },
      ids: [{ id: 'm1', by: ['answer', 'receipt', 'row'] }],
    });
  });

  it('is by_answer_alone without the provider’s id, and for a row that was done before attempts were kept', async () => {
    const id = await add();
    await (await claim()).settle('done', sent(null));
    expect(await verdict(id)).toMatchObject({ verdict: 'by_answer_alone', attempts: 1, ids: [] });
    await database.sql('delete from punctual.history');
    expect(await verdict(id)).toMatchObject({ verdict: 'by_answer_alone', attempts: 1 });
  });

  it('is unknown after an uncertain attempt, and once after a check has found its message', async () => {
    const id = await add();
    await (await claim()).settle('unknown', failed);
    expect(await verdict(id)).toMatchObject({ verdict: 'unknown', attempts: 1, open: 1 });
    sql.pass(60);
    await sql.check(() => ({ proof: [{ message_id: 'm7' }], text: 'found' }));
    expect(await story(id)).toMatchObject({
      state: 'done',
      checks: { checks: 0 },
      sent_once: { verdict: 'once', open: 0, ids: [{ id: 'm7', by: ['check', 'row'] }] },
    });
  });

  it('is not_sent after a check has proved that the attempt had no effect, and the next attempt is the only one', async () => {
    const id = await add();
    await (await claim()).settle('unknown', failed);
    sql.pass(7_200);
    await sql.check(() => ({ absent_after_seconds: 0, text: 'not in the chat' }));
    expect(await verdict(id)).toMatchObject({ verdict: 'not_sent', attempts: 0, open: 0 });
    await makeDue(id);
    await (await claim()).settle('done', sent('m2'));
    expect(await verdict(id)).toMatchObject({ verdict: 'by_answer_alone', attempts: 1, open: 0 });
  });

  it('is may_be_twice if a person retried an uncertain attempt, and twice once that attempt is proved as well', async () => {
    const id = await add();
    const first = await claim();
    await first.settle('unknown', failed);
    await sql.resolve(id, 'pending');
    expect(await verdict(id)).toMatchObject({ verdict: 'unknown', open: 1 });
    await makeDue(id);
    await (await claim()).settle('done', sent('m2'));
    expect(await verdict(id)).toMatchObject({ verdict: 'may_be_twice', attempts: 2, open: 1 });
    await receipt(id, first.claim_id, 'delivered', 'm1');
    expect(await verdict(id)).toMatchObject({ verdict: 'twice', attempts: 2, open: 0 });
  });

  it('is may_be_twice also after the events of the uncertain attempt are deleted', async () => {
    const id = await add();
    await (await claim()).settle('unknown', failed);
    await sql.resolve(id, 'pending');
    await database.sql('delete from punctual.history');
    await makeDue(id);
    await (await claim()).settle('done', sent('m2'));
    expect(await verdict(id)).toMatchObject({ verdict: 'may_be_twice' });
  });

  it('is twice if late proof shows another message', async () => {
    const id = await add();
    const first = await claim();
    await first.settle('unknown', failed);
    await sql.resolve(id, 'pending');
    await makeDue(id);
    await (await claim()).settle('done', sent('m2'));
    await first.settle('done', sent('m1'));
    expect(await verdict(id)).toMatchObject({
      verdict: 'twice',
      ids: [{ id: 'm1', by: ['late'] }, { id: 'm2' }],
    });
  });

  it('is by_decision if a person says that it was sent, without evidence', async () => {
    const id = await add();
    await (await claim()).settle('unknown', failed);
    await sql.resolve(id, 'sent');
    expect(await verdict(id)).toMatchObject({ verdict: 'by_decision', ids: [] });
  });

  it('is not_delivered if the provider accepted it and could not deliver it', async () => {
    const id = await add();
    const one = await claim();
    await one.settle('done', sent('m1'));
    await receipt(id, one.claim_id, 'failed', 'm1');
    const undelivered = { verdict: 'not_delivered', attempts: 1, open: 0, failed_ids: ['m1'] };
    // Until a tick applies the receipt, the row is done.
    expect(await story(id)).toMatchObject({ state: 'done', sent_once: undelivered });
    await sql.tick().exchange({ want: 0, close: true });
    expect(await story(id)).toMatchObject({ state: 'dead', sent_once: undelivered });
  });

  it('takes no receipt of an attempt that is not the row’s own', async () => {
    const id = await add();
    await (await claim()).settle('done', sent('m1'));
    await receipt(id, crypto.randomUUID(), 'delivered', 'm9');
    expect(await verdict(id)).toMatchObject({ verdict: 'by_answer_alone', ids: [{ id: 'm1' }] });
  });
});

describe('find_row', () => {
  const find = (text: string) => database.rpc('find_row', { p_text: text });

  it('finds a row by its id, the provider’s id, its key and its exact address, each once', async () => {
    const id = await sql.addDm(account, {
      channel: 'whatsapp',
      recipient: '+49 151 1',
      chat_id: 'chat-9',
      idempotency_key: 'welcome-1',
    });
    await (await claim()).settle('done', sent('wamid.1'));
    const found = { queue: 'dm_queue', id, status: 'sent', state: 'done' };
    for (const [text, by] of [
      [id, 'id'],
      [' wamid.1 ', 'provider_id'],
      ['welcome-1', 'key'],
      ['+491511', 'address'],
      ['chat-9', 'address'],
    ] as const) {
      expect([text, await find(text)]).toEqual([text, [{ ...found, by }]]);
    }
    for (const text of ['', ' ', 'welcome', '+49151', '%', '{table}', "'"])
      expect(await find(text)).toEqual([]);
  });

  it('finds rows in every queue, 20 at most, and by index alone', async () => {
    for (let n = 0; n < 25; n++) await sql.addDm(account, { chat_id: 'busy' });
    expect(await find('busy')).toHaveLength(20);
    const [{ id }] = await database.sql(
      `insert into punctual.jobs (id, name) values ((select min(id) from punctual.dm_queue), 'x') returning id::text as id`,
    );
    expect(await find(String(id))).toMatchObject([
      { queue: 'dm_queue' },
      { queue: 'jobs', state: 'pending', by: 'id' },
    ]);
  });
});
