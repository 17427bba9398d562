import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { conversations } from '../support/conversations.ts';
import { perTest, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);
const talk = perTest(() => conversations(database, sql));
let account: string;

beforeAll(async () => {
  // As after a move to a Postgres that knows fewer time zones.
  await database.sql('alter table punctual.enrolments drop constraint enrolments_time_zone_exists');
  await database.sql('alter table punctual.accounts drop constraint accounts_time_zone_exists');
  await database.sql('create schema app');
  await database.sql('grant usage on schema app to service_role');
  await database.sql(`create function app.fail(p_partition text, p_now timestamptz) returns void language plpgsql as $$
    begin raise exception 'not today'; end $$`);
  await database.sql(`create function app.refuse() returns trigger language plpgsql as $$
    begin raise exception 'no to %', old.body; end $$`);
});
beforeEach(async () => {
  account = await sql.addAccount({ provider_account_id: 'us' });
});

/** Enrols Ann and Bob, each with an account of their own, in a sequence that sends on Monday and Tuesday at noon. */
async function enrolTwo(): Promise<{ ann: string; bob: string }> {
  const other = await sql.addAccount({ provider_account_id: 'them' });
  const hours = { mon: ['12:00-13:00'], tue: ['12:00-13:00'] };
  const sequence = await talk.addSequence([{ body: '{{name}}', hours }]);
  const person = (name: string, account_id: string) => ({ account_id, recipient: name, variables: { name } });
  const [ann = '', bob = ''] = await talk.enrol(sequence, [person('ann', account), person('bob', other)]);
  return { ann, bob };
}
const forgetZone = (table: string, id: string) =>
  database.sql(`update punctual.${table} set time_zone = 'Mars/Base' where id = $1`, [id]);

/** Makes every update of `column` of Ann's messages fail. */
const refuseAnn = (column: string) =>
  database.sql(`create trigger refuse before update of ${column} on punctual.dm_queue for each row
    when (old.body = 'ann') execute function app.refuse()`);
afterEach(() => database.sql('drop trigger if exists refuse on punctual.dm_queue'));

async function dmQueueStats() {
  const stats = statsSchema.parse(await database.rpc('read_stats', { p_now: sql.now }));
  return stats.queues.find(({ name }) => name === 'dm_queue');
}

it('an account whose time zone Postgres does not know has no room in the forecast of the others', async () => {
  const other = await sql.addAccount({ daily_limit: 5 });
  for (const id of [account, other]) await sql.addDm(id);
  await forgetZone('accounts', account);
  const forecasts = (await database.rpc('forecast_hours', { p_now: sql.now })) as { queue: string }[];
  expect(forecasts.find(({ queue }) => queue === 'dm_queue')).toMatchObject({
    short: 1,
    hours: [{ due: 2, may: 5 }, ...Array(5).fill({ due: 0, may: 4 })],
  });
});

describe('an enrolment whose time zone this Postgres does not know', () => {
  it('does not block claims of other messages: its own message waits for ever and counts as unreachable', async () => {
    const { ann } = await enrolTwo();
    await talk.advance();
    // Both have missed their hours.
    sql.pass(23.5 * 3_600);
    await forgetZone('enrolments', ann);
    expect(await talk.send()).toEqual([]);
    sql.pass(3_600);
    expect(await talk.send()).toEqual(['bob']);
    expect((await dmQueueStats())?.unreachable).toEqual([{ reason: 'send_at is infinity', rows: 1 }]);
  });

  it('does not keep another enrolment’s message from being queued', async () => {
    const { ann } = await enrolTwo();
    await forgetZone('enrolments', ann);
    expect(await talk.advance()).toEqual({ again: 2 });
    expect(await talk.send()).toEqual(['bob']);
    expect(await talk.read(ann)).toMatchObject({ status: 'pending', next_step_at: null, sent_steps: 0 });
  });
});

describe('an account whose time zone this Postgres does not know', () => {
  it('waits for a person, and blocks no other account', async () => {
    const id = await sql.addDm(account);
    await forgetZone('accounts', account);
    const other = await sql.addDm(await sql.addAccount());
    expect(await sql.drain()).toEqual([other]);
    const text = 'time zone "Mars/Base" is unknown';
    expect(await sql.pace(account)).toMatchObject({ waiting_for: text });
    const waits = [{ kind: 'time_zone', until: null, text }];
    expect(await sql.explain(id)).toMatchObject({ waits, expected_at: null });
  });

  it('does not keep an unknown message from being resolved', async () => {
    const { id } = await sql.addUnknown(account);
    await forgetZone('accounts', account);
    sql.pass(30);
    const absent = { absent_after_seconds: 0, over_seconds: 60 };
    expect(await sql.check(() => absent)).toMatchObject({ absent: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'pending' });
  });
});

describe('a before_claim that raises', () => {
  it('does not block claims, and is reported on the dashboard once an hour', async () => {
    const use = (name: string) =>
      database.sql(`update punctual.queues set before_claim = '${name}' where name = 'dm_queue'`);
    await use('app.fail');
    for (const seconds of [0, 60, 3_600]) {
      const id = await sql.addDm(account, { send_at: sql.now });
      sql.pass(seconds);
      expect(await sql.drain()).toEqual([id]);
    }
    const text = 'app.fail failed: not today';
    expect((await dmQueueStats())?.noted).toEqual([{ event: 'error', rows: 1, row_id: null, text }]);
    expect(await database.sql(`select row_id from punctual.history where event = 'error'`)).toHaveLength(2);
    await use('punctual.reopen_messages');
  });

  it('for one message blocks no other, and is recorded in that message’s history', async () => {
    const { bob } = await enrolTwo();
    await talk.advance();
    sql.pass(24 * 3_600);
    await refuseAnn('send_at');
    expect(await talk.send()).toEqual(['bob']);
    const [{ id }] = await database.sql(`select id::text from punctual.dm_queue where body = 'ann'`);
    expect(await sql.history(id)).toEqual([['error', 'its next hours could not be found: no to ann']]);
    expect(await talk.read(bob)).toMatchObject({ phase: 'completed' });
    expect((await dmQueueStats())?.noted).toMatchObject([{ event: 'error', rows: 1, row_id: String(id) }]);
    sql.pass(86_400);
    expect((await dmQueueStats())?.noted).toEqual([]);
  });
});

describe('rows whose update a trigger refuses', () => {
  const expired = `'2026-03-02T11:00:00Z'`;
  /** Adds 210 messages to Ann and then one to Bob. */
  const fill = (columns: string, values: string) =>
    database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, send_at, body, ${columns})
       select $1, 'linkedin', 'c', $2, case when n <= 210 then 'ann' else 'bob' end, ${values} from generate_series(1, 211) n`,
      [account, sql.now],
    );
  const statusOfBob = async () =>
    (await database.sql(`select status from punctual.dm_queue where body = 'bob'`))[0].status;
  const tick = (changes = {}) => sql.tick(changes).exchange({ want: 1, close: true });
  beforeEach(() => refuseAnn('status'));

  it('do not keep later rows from being swept, and are tried again after an hour', async () => {
    await fill(
      'status, claim_id, claimed_at, lease_expires_at',
      `'sending', gen_random_uuid(), ${expired}, ${expired}::timestamptz + n * interval '1 second'`,
    );
    await tick();
    expect(await statusOfBob()).toBe('sending');
    await tick();
    expect(await statusOfBob()).toBe('unknown');
    const errors = () => database.sql(`select from punctual.history where event = 'error'`);
    expect(await errors()).toHaveLength(210);
    sql.pass(3_600);
    await tick();
    expect(await errors()).toHaveLength(410);
  });

  it('do not keep later rows from expiring, however short a call is', async () => {
    await fill('expires_at', `${expired}::timestamptz + n * interval '1 second'`);
    for (let n = 0; n < 4; n++) await tick({ call_ms: 0 });
    expect(await statusOfBob()).toBe('pending');
    await tick({ call_ms: 0 });
    expect(await statusOfBob()).toBe('failed');
  });

  it('do not block receipts of other rows, and neither do running rows', async () => {
    for (const [body, status] of [
      ['cyd', 'sending'],
      ['ann', 'unknown'],
      ['bob', 'unknown'],
    ]) {
      const claim_id = crypto.randomUUID();
      const lease_expires_at = status === 'sending' ? sql.at(600) : null;
      const id = await sql.addDm(await sql.addAccount({ provider: 'whatsapp_cloud' }), {
        ...{ body, status, claim_id, claimed_at: sql.now, lease_expires_at, channel: 'whatsapp' },
      });
      const reference = `dm_queue/${id}/${claim_id}`;
      await sql.receive([{ kind: 'status', status: 'sent', message_id: id, reference }]);
    }
    await tick({ call_ms: 0 });
    expect(await statusOfBob()).toBe('unknown');
    await tick({ call_ms: 0 });
    expect(await statusOfBob()).toBe('sent');
  });
});

describe('your own table with an after_settle', () => {
  beforeAll(async () => {
    await database.sql(
      'create table app.tasks (id bigint generated always as identity primary key, due timestamptz)',
    );
    await database.sql('create table app.told (outcome text)');
    await database.sql('grant insert on app.told to service_role');
    await database.sql('create role visitor');
    await database.sql('grant usage on schema app to visitor');
    await database.sql('grant select, update on app.tasks to visitor');
  });
  const afterSettle = (statement: string) =>
    database.sql(`create or replace function app.react(p_applied jsonb, p_now timestamptz) returns void language sql as $$
      insert into app.told select a->>'outcome' from jsonb_array_elements(p_applied) a; ${statement} $$`);
  const told = () => database.sql('select outcome from app.told order by 1');
  const addQueue = (more = '') =>
    database.sql(`select punctual.add_queue('own', 'app.tasks', 'due', 'at-least-once'${more})`);
  beforeEach(async () => {
    await database.sql('delete from app.told');
    await database.sql('truncate app.tasks restart identity');
    await afterSettle('');
    // The reset of the database removed the queue from the registry.
    await addQueue(`, p_after_settle => 'app.react'`);
  });
  /** Adds due rows, and settles the first as done in a tick. */
  async function settleFirst(count: number) {
    for (let n = 0; n < count; n++)
      await database.sql('insert into app.tasks (due) values ($1)', [sql.at(-1)]);
    const tick = sql.tick({ queue: 'own' });
    const { rows, claimId } = await tick.claim(1);
    await tick.settle(rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'done' })));
  }

  it('cannot be settled by a role that may write the row but not call after_settle: the row stays as it is, and the error names the role', async () => {
    await database.sql('insert into app.tasks (due) values (now())');
    const settleAsVisitor = async () => {
      await database.sql('set role visitor');
      const settled = database.sql(`update app.tasks set status = 'done'`);
      await settled.finally(() => database.sql('reset role'));
    };
    await expect(settleAsVisitor()).rejects.toMatchObject({
      code: '42501',
      message: 'visitor may not settle rows of the queue own: that role cannot call its after_settle',
    });
    expect(await database.sql('select status from app.tasks')).toEqual([{ status: 'pending' }]);
    expect(await told()).toEqual([]);
    // Without an after_settle the role may settle the row.
    await addQueue();
    await settleAsVisitor();
    expect(await database.sql('select from app.tasks where finished_at is null')).toEqual([]);
  });

  it('runs its after_settle as the role that settles, never as the database’s owner', async () => {
    const definers = await database.sql(
      `select proname from pg_proc where pronamespace = 'punctual'::regnamespace and prosecdef order by 1`,
    );
    // These read a setting and spent keys, or make the functions of a queue by its definition, and call no other code.
    expect(definers.map(({ proname }) => proname)).toEqual([
      'notify_worker',
      'refresh_functions',
      'refuse_spent_key',
    ]);
  });

  it('may cancel a message from its after_settle in a tick, and the message’s enrolment stops', async () => {
    const { ann, bob } = await enrolTwo();
    await talk.advance();
    await afterSettle(`update punctual.dm_queue set status = 'cancelled' where body = 'ann'`);
    await settleFirst(1);
    expect([await talk.read(ann), await talk.read(bob)]).toMatchObject([
      { phase: 'stopped' },
      { phase: 'in_progress' },
    ]);
    // The tick's own row was settled once.
    expect(await told()).toEqual([{ outcome: 'done' }]);
  });

  it('may settle another of its rows from its after_settle, which then runs for that row too', async () => {
    await afterSettle(`update app.tasks set status = 'cancelled' where id = 2 and status = 'pending'`);
    await settleFirst(2);
    const rows = await database.sql(
      'select status, finished_at is null as goes_on from app.tasks order by id',
    );
    expect(rows).toEqual([
      { status: 'done', goes_on: false },
      { status: 'cancelled', goes_on: false },
    ]);
    expect(await told()).toEqual([{ outcome: 'cancelled' }, { outcome: 'done' }]);
  });
});
