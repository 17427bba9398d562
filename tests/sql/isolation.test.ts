import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { conversations } from '../support/conversations.ts';
import { exchanges } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;
let talk: ReturnType<typeof conversations>;
let account: string;

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
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
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  sql = exchanges(database);
  talk = conversations(database, sql);
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const hours = { mon: ['12:00-13:00'], tue: ['12:00-13:00'] };

async function enrolTwo(): Promise<{ ann: string; bob: string }> {
  const other = await sql.addAccount({ provider_account_id: 'them' });
  const sequence = await talk.addSequence([{ body: '{{name}}', hours }]);
  const person = (name: string, account_id: string) => ({ account_id, recipient: name, variables: { name } });
  const [ann = '', bob = ''] = await talk.enrol(sequence, [person('ann', account), person('bob', other)]);
  return { ann, bob };
}
const forgetZone = (id: string) =>
  database.sql(`update punctual.enrolments set time_zone = 'Mars/Base' where id = $1`, [id]);

async function dmQueueStats() {
  const stats = statsSchema.parse(await database.rpc('read_stats', { p_now: sql.now }));
  return stats.queues.find(({ name }) => name === 'dm_queue');
}

describe('an enrolment whose time zone this Postgres does not know', () => {
  it('does not block claims of other messages: its own message waits for ever and counts as unreachable', async () => {
    const { ann } = await enrolTwo();
    await talk.advance();
    // Both have missed their hours.
    sql.pass(23.5 * 3_600);
    await forgetZone(ann);
    expect(await talk.send()).toEqual([]);
    sql.pass(3_600);
    expect(await talk.send()).toEqual(['bob']);
    expect((await dmQueueStats())?.unreachable).toEqual([{ reason: 'send_at is infinity', rows: 1 }]);
  });

  it('does not keep another enrolment’s message from being queued', async () => {
    const { ann } = await enrolTwo();
    await forgetZone(ann);
    expect(await talk.advance()).toEqual({ again: 2 });
    expect(await talk.send()).toEqual(['bob']);
    expect(await talk.read(ann)).toMatchObject({ status: 'pending', next_step_at: null, sent_steps: 0 });
  });
});

it('an account whose time zone this Postgres does not know does not keep an unknown message from being resolved', async () => {
  const { id } = await sql.addUnknown(account);
  await database.sql(`update punctual.accounts set time_zone = 'Mars/Base'`);
  sql.pass(30);
  expect(await sql.check(() => ({ absent_after_seconds: 0, over_seconds: 60 }))).toMatchObject({ absent: 1 });
  expect(await sql.dm(id)).toMatchObject({ status: 'pending' });
});

describe('a before_claim that raises', () => {
  it('does not block claims, and is reported on the dashboard once an hour', async () => {
    await database.sql(`update punctual.queues set before_claim = 'app.fail' where name = 'dm_queue'`);
    for (const seconds of [0, 60, 3_600]) {
      const id = await sql.addDm(account, { send_at: sql.now });
      sql.pass(seconds);
      expect(await sql.drain()).toEqual([id]);
    }
    expect((await dmQueueStats())?.noted).toEqual([
      { event: 'error', rows: 1, row_id: null, text: 'app.fail failed: not today' },
    ]);
    expect(await database.sql(`select row_id from punctual.history where event = 'error'`)).toHaveLength(2);
    await database.sql(
      `update punctual.queues set before_claim = 'punctual.reopen_messages' where name = 'dm_queue'`,
    );
  });

  it('for one message blocks no other, and is recorded in that message’s history', async () => {
    const { bob } = await enrolTwo();
    await talk.advance();
    sql.pass(24 * 3_600);
    await database.sql(`create trigger refuse before update of send_at on punctual.dm_queue for each row
      when (old.body = 'ann') execute function app.refuse()`);
    expect(await talk.send()).toEqual(['bob']);
    await database.sql('drop trigger refuse on punctual.dm_queue');
    const [ann] = await database.sql(`select id::text from punctual.dm_queue where body = 'ann'`);
    expect((await sql.explain(ann.id)).history).toMatchObject([
      { event: 'error', text: 'its next hours could not be found: no to ann' },
    ]);
    expect(await talk.read(bob)).toMatchObject({ phase: 'completed' });
    expect((await dmQueueStats())?.noted).toMatchObject([
      { event: 'error', rows: 1, row_id: String(ann.id) },
    ]);
    sql.pass(86_400);
    expect((await dmQueueStats())?.noted).toEqual([]);
  });
});

describe('rows whose update a trigger refuses', () => {
  const expired = `'2026-03-02T11:00:00Z'`;
  const fill = (columns: string, values: string) =>
    database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, send_at, body, ${columns})
       select $1, 'linkedin', 'c', $2, case when n <= 210 then 'ann' else 'bob' end, ${values}
         from generate_series(1, 211) n`,
      [account, sql.now],
    );
  const statusOfBob = async () =>
    (await database.sql(`select status from punctual.dm_queue where body = 'bob'`))[0].status;
  const tick = (changes = {}) => sql.tick(changes).exchange({ want: 1, close: true });
  beforeEach(() =>
    database.sql(`create trigger refuse before update of status on punctual.dm_queue for each row
      when (old.body = 'ann') execute function app.refuse()`),
  );
  afterEach(() => database.sql('drop trigger refuse on punctual.dm_queue'));

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
    const addRow = async (body: string, status: string) => {
      const claim_id = crypto.randomUUID();
      const lease = status === 'sending' ? sql.at(600) : null;
      const owner = await sql.addAccount({ provider: 'whatsapp_cloud' });
      const row = {
        body,
        status,
        claim_id,
        claimed_at: sql.now,
        lease_expires_at: lease,
        channel: 'whatsapp',
      };
      const id = await sql.addDm(owner, row);
      const receipt = {
        kind: 'status',
        status: 'sent',
        message_id: id,
        reference: `dm_queue/${id}/${claim_id}`,
      };
      await sql.receive([receipt]);
    };
    await addRow('cyd', 'sending');
    await addRow('ann', 'unknown');
    await addRow('bob', 'unknown');
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
    await database.sql('create table app.told (outcome text, told_to text)');
    // Cancels a message, as a user's own code may.
    await database.sql(`create function app.cancel_message(p_applied jsonb, p_now timestamptz) returns void language sql as $$
      insert into app.told select a->>'outcome', current_user from jsonb_array_elements(p_applied) a;
      update punctual.dm_queue set status = 'cancelled' where body = 'ann' $$`);
    await database.sql('grant insert on app.told to service_role');
    await database.sql('create role visitor');
    await database.sql('grant usage on schema app to visitor');
    await database.sql('grant select, update on app.tasks to visitor');
  });
  beforeEach(async () => {
    await database.sql('delete from app.told');
    // The reset of the database removed the queue from the registry.
    await database.sql(
      `select punctual.add_queue('own', 'app.tasks', 'due', 'at-least-once', p_after_settle => 'app.cancel_message')`,
    );
  });

  it('cannot be settled by a role that may write the row but not call after_settle: the row stays as it is, and the error names the role', async () => {
    await database.sql('insert into app.tasks (due) values (now())');
    const asVisitor = async (statement: string) => {
      await database.sql('set role visitor');
      try {
        await database.sql(statement);
      } finally {
        await database.sql('reset role');
      }
    };
    await expect(asVisitor(`update app.tasks set status = 'done'`)).rejects.toMatchObject({
      code: '42501',
      message: 'visitor may not settle rows of the queue own: that role cannot call its after_settle',
    });
    expect(await database.sql('select status from app.tasks')).toEqual([{ status: 'pending' }]);
    expect(await database.sql('select from app.told')).toEqual([]);
    // Without an after_settle the role may settle the row.
    await database.sql(`select punctual.add_queue('own', 'app.tasks', 'due', 'at-least-once')`);
    await asVisitor(`update app.tasks set status = 'done'`);
    expect(await database.sql('select from app.tasks where finished_at is null')).toEqual([]);
  });

  it('runs its after_settle as the role that settles, never as the database’s owner', async () => {
    const definers = await database.sql(
      `select proname from pg_proc where pronamespace = 'punctual'::regnamespace and prosecdef`,
    );
    // This one reads spent keys, and calls no other code.
    expect(definers).toEqual([{ proname: 'refuse_spent_key' }]);
  });

  it('may cancel a message from its after_settle in a tick, and the message’s enrolment stops', async () => {
    const { ann, bob } = await enrolTwo();
    await talk.advance();
    await database.sql('insert into app.tasks (due) values ($1)', [sql.at(-1)]);
    const tick = sql.tick({ queue: 'own' });
    const { rows, claimId } = await tick.claim();
    await tick.settle(rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'done' })));
    expect(await talk.read(ann)).toMatchObject({ phase: 'stopped' });
    expect(await talk.read(bob)).toMatchObject({ phase: 'in_progress' });
    // The tick's own row was settled once.
    expect(await database.sql('select outcome from app.told')).toEqual([{ outcome: 'done' }]);
  });

  it('may settle another of its rows from its after_settle, which then runs for that row too', async () => {
    await database.sql('truncate app.tasks restart identity');
    await database.sql(`create or replace function app.cancel_message(p_applied jsonb, p_now timestamptz) returns void language sql as $$
      insert into app.told select a->>'outcome', current_user from jsonb_array_elements(p_applied) a;
      update app.tasks set status = 'cancelled' where id = 2 and status = 'pending' $$`);
    await database.sql('insert into app.tasks (due) values ($1), ($1)', [sql.at(-1)]);
    const tick = sql.tick({ queue: 'own' });
    const { rows, claimId } = await tick.claim(1);
    await tick.settle(rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'done' })));
    expect(
      await database.sql('select status, finished_at is null as goes_on from app.tasks order by id'),
    ).toEqual([
      { status: 'done', goes_on: false },
      { status: 'cancelled', goes_on: false },
    ]);
    expect(await database.sql('select outcome from app.told order by 1')).toEqual([
      { outcome: 'cancelled' },
      { outcome: 'done' },
    ]);
  });
});
