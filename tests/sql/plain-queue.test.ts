import { describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTestExchanges } from '../support/fixtures.ts';
import { appDatabase, insertRow, readQueueStats } from '../support/own-tables.ts';

const database = appDatabase();
const sql = perTestExchanges(database);

/** Creates `app.trials` and its queue. `columns` follow the key and the due time, `more` the other arguments of add_queue. */
async function addTrialsQueue(columns = '', more = '') {
  await database.sql(
    `create table app.trials (id bigint generated always as identity primary key, next_at timestamptz${columns})`,
  );
  await database.sql(`select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-least-once'${more})`);
  await database.sql('grant all on all tables in schema app to service_role');
  await database.sql('grant usage on all sequences in schema app to service_role');
}
const tick = (changes = {}) => sql.tick({ queue: 'trials', ...changes });
const addTrial = (row: Record<string, unknown> = {}) =>
  insertRow(database, 'app.trials', { next_at: sql.at(-1), ...row });
const statuses = async () =>
  (await database.sql('select status from app.trials order by id')).map(({ status }) => status);
const resolve = (id: string, decision: string, more = {}) =>
  database.rpc('resolve_row', {
    p_queue: 'trials',
    p_id: id,
    p_decision: decision,
    p_now: sql.now,
    ...more,
  });
/** Creates a function `app.f` for add_queue to name. */
const createFunction = (parameters: string, returns: string, body: string, language = 'sql') =>
  database.sql(
    `create function app.f(${parameters}, p_now timestamptz) returns ${returns} language ${language} as $$ ${body} $$`,
  );
const afterSettle = `, p_after_settle => 'app.f'`;

describe('a claimed row', () => {
  const claimOne = async () => {
    const one = tick();
    const { rows, claimId } = await one.claim(1);
    await one.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'done' }], { close: true });
    return rows[0]?.row;
  };

  it('has the columns of its table, without those that say what became of earlier attempts', async () => {
    await addTrialsQueue(', "a {b} $$" text, x text, t text, finished_at timestamptz');
    const id = await addTrial({ 'a {b} $$': 'x' });
    expect(await claimOne()).toEqual({
      id: Number(id),
      next_at: sql.at(-1).replace('.000Z', '+00:00'),
      'a {b} $$': 'x',
      x: null,
      t: null,
      status: 'running',
      priority: 1,
      attempts: 1,
      max_attempts: null,
      timeout_seconds: null,
      expires_at: null,
      idempotency_key: null,
    });
  });

  it('has a column that was added, and lacks one that was dropped or renamed, from the next tick on', async () => {
    await addTrialsQueue(', body text, topic text');
    for (const _ of ['first', 'second', 'third']) await addTrial();
    expect(Object.keys(await claimOne())).toEqual(expect.arrayContaining(['body', 'topic']));
    await database.sql(`alter table app.trials add column language text default 'de'`);
    expect(await claimOne()).toMatchObject({ body: null, language: 'de' });
    await database.sql('alter table app.trials drop column body');
    await database.sql('alter table app.trials rename column topic to subject');
    const last = await claimOne();
    expect(last).toMatchObject({ subject: null, language: 'de' });
    expect(last).not.toHaveProperty('body');
    expect(last).not.toHaveProperty('topic');
  });
});

describe('a queue over your own table', () => {
  it('has its due rows claimed by priority, then the oldest first', async () => {
    await addTrialsQueue();
    for (const [seconds, priority] of [
      [-10, 1],
      [-20, 1],
      [-15, 1],
      [-1, 0],
      [60, 0],
      [-99, 3],
    ] as const) {
      await addTrial({ next_at: sql.at(seconds), priority });
    }
    const one = tick();
    const order: (string | undefined)[] = [];
    for (let n = 0; n < 6; n++) order.push((await one.claim(1)).rows[0]?.id);
    expect(order).toEqual(['4', '2', '3', '1', '6', undefined]);
  });

  it('names the rows of a group that were already settled or lost', async () => {
    await addTrialsQueue();
    for (let n = 0; n < 4; n++) await addTrial();
    const one = tick();
    const { claimId: claim_id } = await one.claim();
    const settle = (...ids: string[]) => one.exchange({ outcomes: { done: [{ claim_id, ids }] } });
    expect((await settle('1', '2')).settled).toMatchObject({ done: 2, exceptions: [] });
    const { settled } = await settle('2', '3', '4', '777');
    expect(settled).toMatchObject({ done: 2, lost: 1 });
    expect(settled.exceptions).toEqual(
      expect.arrayContaining([
        { id: '2', claim_id, verdict: 'already', outcome: 'done' },
        { id: '777', claim_id, verdict: 'lost', outcome: 'done' },
      ]),
    );
  });

  it('settles no row of a group that another tick has claimed since', async () => {
    await addTrialsQueue();
    const id = await addTrial();
    const stale = tick();
    const { claimId: claim_id } = await stale.claim();
    sql.pass(3_600);
    await tick({ limit_seconds: 1 }).claim();
    sql.pass(3_600);
    const latest = await tick().claim();
    expect(latest.rows.map((row) => row.id)).toEqual([id]);
    const late = { outcomes: { done: [{ claim_id, ids: [id] }] } };
    expect((await stale.exchange(late)).settled).toMatchObject({ done: 0, lost: 1 });
    expect(await database.sql('select status, claim_id from app.trials')).toEqual([
      { status: 'running', claim_id: latest.claimId },
    ]);
  });

  it('claims no expired row, even if more have expired than one exchange marks dead', async () => {
    await addTrialsQueue();
    await database.sql(
      `insert into app.trials (next_at, expires_at) select $1::timestamptz, $2::timestamptz from generate_series(1, 1001)`,
      [sql.at(-9), sql.at(0)],
    );
    const id = await addTrial({ expires_at: sql.at(1) });
    expect((await tick().claim()).rows.map((row) => row.id)).toEqual([id]);
    expect(await database.sql('select status, count(*) as n from app.trials group by 1 order by 1')).toEqual([
      { status: 'dead', n: 1_000 },
      { status: 'pending', n: 1 },
      { status: 'running', n: 1 },
    ]);
  });

  it('settles a row without its result if the result’s column refuses it', async () => {
    await addTrialsQueue(', said text check (length(said) < 5)', `, p_result_columns => '{said}'`);
    await addTrial();
    await attemptIn(tick(), 'done', { result: { said: 'too long' } });
    expect(await database.sql('select status, said from app.trials')).toEqual([
      { status: 'done', said: null },
    ]);
  });

  it('claims, settles and cancels under the registry’s current names and words, even if plain SQL changed them', async () => {
    await addTrialsQueue();
    for (let n = 0; n < 2; n++) await addTrial();
    await database.sql('alter table app.trials drop constraint trials_status_check');
    await database.sql('alter table app.trials rename next_at to due');
    await database.sql('alter table app.trials rename to tests');
    await database.sql(
      `update punctual.queues set table_name = 'tests', due_column = 'due', cancelled_word = 'void' where name = 'trials'`,
    );
    await attemptIn(tick());
    expect(await resolve('2', 'cancelled')).toEqual({ status: 'void' });
    expect(await database.sql('select status from app.tests order by id')).toEqual([
      { status: 'done' },
      { status: 'void' },
    ]);
  });

  it('claims no row after the time in its p_closes_column', async () => {
    await addTrialsQueue(', open_until timestamptz', `, p_closes_column => 'open_until'`);
    for (const open_until of [null, sql.at(0), sql.at(1)]) await addTrial({ open_until });
    expect((await tick().claim()).rows.map(({ id }) => id)).toEqual(['1', '3']);
  });

  it('explains rows without a due time by its p_waits_column, and counts only the others as unreachable', async () => {
    await addTrialsQueue(', waits_for text', `, p_waits_column => 'waits_for'`);
    for (const waits_for of ['the mail', null]) await addTrial({ next_at: null, waits_for });
    const { trials } = await readQueueStats(database, sql.now);
    expect(trials?.unreachable).toEqual([{ reason: 'next_at is null', rows: 1 }]);
    for (const [p_id, kind, text] of [
      ['1', 'event', 'waits for the mail'],
      ['2', 'never_due', 'next_at is null'],
    ]) {
      expect(await database.rpc('explain_row', { p_queue: 'trials', p_id, p_now: sql.now })).toMatchObject({
        waits: [{ kind, until: null, text }],
      });
    }
  });
});

describe('after_settle', () => {
  /** An after_settle that keeps what it is called with. */
  async function createKept(ofMs = '') {
    await database.sql(`create table app.kept (trial bigint, outcome text, error text, ms integer ${ofMs})`);
    await createFunction(
      'p_applied jsonb',
      'void',
      `insert into app.kept select (a->>'id')::bigint, a->>'outcome', a->>'error', (a->'result'->>'ms')::integer
         from jsonb_array_elements(p_applied) a`,
    );
  }

  it('runs in the transaction that settles: a row that it refuses is not settled and blocks no other', async () => {
    await createKept('not null check (ms < 1000)');
    await addTrialsQueue('', afterSettle);
    for (let n = 0; n < 2; n++) await addTrial();
    const one = tick();
    const { claimId: claim_id } = await one.claim();
    const record = (id: string, ms: number) => {
      return { id, claim_id, outcome: 'again', delay_seconds: 60, result: { ms } };
    };
    expect((await one.settle([record('1', 5_000), record('2', 20)])).settled).toMatchObject({
      again: 1,
      lost: 0,
      exceptions: [{ id: '1', claim_id, verdict: 'refused', outcome: 'again' }],
    });
    expect(await statuses()).toEqual(['running', 'pending']);
    expect((await sql.history('1')).map(([event]) => event)).toEqual(['error']);
    // The tick still has the row, and can settle it with another result.
    await one.settle([record('1', 30)]);
    expect(await database.sql('select trial, outcome, ms from app.kept order by ms')).toEqual([
      { trial: 2, outcome: 'again', ms: 20 },
      { trial: 1, outcome: 'again', ms: 30 },
    ]);
  });

  it('that raises keeps no row from being swept, expired or claimed, and a row whose outcome it refuses runs until its lease ends', async () => {
    await createFunction('p_applied jsonb', 'void', `begin raise exception 'not now'; end`, 'plpgsql');
    await addTrialsQueue('', afterSettle);
    const id = await addTrial();
    const dying = tick();
    const { claimId: claim_id } = await dying.claim();
    expect((await dying.settle([{ id, claim_id, outcome: 'done' }])).settled).toMatchObject({
      done: 0,
      exceptions: [{ id, verdict: 'refused' }],
    });
    await addTrial({ expires_at: sql.at(80) });
    await addTrial();
    sql.pass(91);
    expect(await tick().claim()).toMatchObject({ swept: 1, rows: [{ id: '3' }] });
    expect(await statuses()).toEqual(['pending', 'dead', 'running']);
  });

  it('that is gone settles nothing, and fails the call with an error', async () => {
    await createFunction('p_applied jsonb', 'void', 'select');
    await addTrialsQueue('', afterSettle);
    await addTrial();
    const one = tick();
    const { claimId: claim_id } = await one.claim();
    await database.sql('drop function app.f');
    await expect(one.settle([{ id: '1', claim_id, outcome: 'done' }])).rejects.toMatchObject({
      kind: 'misconfigured',
      code: '42883',
    });
    expect(await statuses()).toEqual(['running']);
  });

  it('is called also for rows settled by expiry, an operator or the sweep', async () => {
    await createKept();
    await addTrialsQueue('', `${afterSettle}, p_settings => '{"max_attempts": 1}'`);
    await addTrial({ expires_at: sql.at(0) });
    await addTrial({ next_at: sql.at(3_600) });
    await addTrial();
    expect((await tick().claim()).rows).toMatchObject([{ id: '3' }]);
    await resolve('2', 'cancelled', { p_note: 'no more' });
    sql.pass(600);
    await tick().claim();
    expect(await database.sql('select trial, outcome, error from app.kept order by trial')).toEqual([
      { trial: 1, outcome: 'dead', error: 'expired before it could start' },
      { trial: 2, outcome: 'cancelled', error: 'no more' },
      { trial: 3, outcome: 'dead', error: 'the tick died while this row was running' },
    ]);
  });
});

it('before_claim runs once a tick, before the claim, and not in a tick that is not admitted', async () => {
  await database.sql('create table app.seen (part text)');
  await createFunction(
    'p_partition text',
    'void',
    `begin insert into app.seen values (p_partition);
       insert into app.trials (next_at) values (p_now - interval '1 second'); end`,
    'plpgsql',
  );
  await addTrialsQueue('', `, p_before_claim => 'app.f'`);
  const one = tick();
  expect((await one.claim()).rows).toHaveLength(1);
  expect((await one.claim()).rows).toHaveLength(0);
  expect((await tick().claim()).admitted).toBe(false);
  expect(await database.sql('select part from app.seen')).toEqual([{ part: 'main' }]);
});

it('facts come with the claimed rows, also when the claim is repeated', async () => {
  await createFunction(
    'p_ids text[]',
    'jsonb',
    `select jsonb_build_object(p_ids[1], jsonb_build_object('asked', p_ids, 'at', p_now))`,
  );
  await addTrialsQueue('', `, p_facts => 'app.f'`);
  for (let n = 0; n < 2; n++) await addTrial();
  const one = tick();
  const { rows } = await one.claim();
  const asked = { asked: ['1', '2'], at: sql.now.replace('.000Z', '+00:00') };
  expect(rows.map((row) => (row as { facts?: unknown }).facts ?? null)).toEqual([asked, null]);
  expect((await one.claim(100, 1)).rows).toEqual(rows);
});
