import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { conversations } from '../support/conversations.ts';
import { exchanges } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;
let talk: ReturnType<typeof conversations>;
let account: string;

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
  await database.sql('create schema app');
  await database.sql(
    'create table app.letters (id uuid primary key default gen_random_uuid(), send_at timestamptz)',
  );
  await database.sql('create table app.told (letter text, outcome text)');
  await database.sql(`create function app.tell(p_applied jsonb, p_now timestamptz) returns void language sql as $$
    insert into app.told select a->>'id', a->>'outcome' from jsonb_array_elements(p_applied) a $$`);
  await database.sql('grant usage on schema app to service_role');
  await database.sql('grant all on all tables in schema app to service_role');
  await database.sql(
    `select punctual.add_queue('letters', 'app.letters', 'send_at', 'at-most-once', p_after_settle => 'app.tell')`,
  );
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  await database.sql('truncate app.letters, app.told');
  await database.sql("delete from punctual.queues where name = 'letters'");
  await database.sql(
    `select punctual.add_queue('letters', 'app.letters', 'send_at', 'at-most-once', p_after_settle => 'app.tell')`,
  );
  await database.sql('update punctual.queues set batch_limit = null');
  sql = exchanges(database);
  talk = conversations(database, sql);
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const hour = 3_600;

/** Restores the database to this instant, and lets `lost` seconds pass until it is back. `call` calls after_restore. */
function goBack(lost = hour) {
  const since = sql.now;
  sql.pass(lost);
  return { since, call: () => afterRestore(since) };
}

async function afterRestore(since: string | null) {
  const [row] = await database.sql('select punctual.after_restore($1, $2) as answer', [since, sql.now]);
  const { queues, ...counts } = row.answer;
  return {
    ...counts,
    // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
    queues: Object.fromEntries(queues.map(({ queue, ...more }: any) => [queue, more])),
  };
}

const unpause = () => database.sql('update punctual.queues set paused_at = null, paused_reason = null');
const absent = { absent_after_seconds: 600, text: 'it is not there' };

describe('after a restore', () => {
  it('due rows that may have been sent are unknown, and no other row changes', async () => {
    const rows = {
      due: await sql.addDm(account, { send_at: sql.at(-60) }),
      dueSince: await sql.addDm(account, { send_at: sql.at(1_800) }),
      retried: await sql.addDm(account, { send_at: sql.at(-60), next_attempt_at: sql.at(60), attempts: 1 }),
      later: await sql.addDm(account, { send_at: sql.at(hour + 1) }),
      retriedLater: await sql.addDm(account, { send_at: sql.at(-60), next_attempt_at: sql.at(hour + 1) }),
      expired: await sql.addDm(account, { send_at: sql.at(-60), expires_at: sql.at(-1) }),
      expiredSince: await sql.addDm(account, { send_at: sql.at(-60), expires_at: sql.at(1) }),
    };
    for (const status of ['sent', 'failed', 'cancelled'])
      await sql.addDm(account, { status, finished_at: sql.now });
    const { since, call } = goBack();
    expect(await call()).toMatchObject({ queues: { dm_queue: { unknown: 4, run_again: 0 } } });
    const states = await Promise.all(
      Object.entries(rows).map(async ([name, id]) => [name, (await sql.dm(id)).status]),
    );
    expect(Object.fromEntries(states)).toEqual({
      due: 'unknown',
      dueSince: 'unknown',
      retried: 'unknown',
      later: 'pending',
      retriedLater: 'pending',
      expired: 'pending',
      expiredSince: 'unknown',
    });
    expect(
      await database.sql(`select status from punctual.dm_queue where id > $1 order by id`, [
        rows.expiredSince,
      ]),
    ).toEqual([{ status: 'sent' }, { status: 'failed' }, { status: 'cancelled' }]);
    expect(await sql.history(rows.due)).toEqual([
      ['restored', expect.stringContaining('it may have been sent since')],
    ]);
    expect(await sql.dm(rows.due)).toMatchObject({ attempts: 0, claimed_at: since });
  });

  it('every queue is paused with the reason, and a queue that was paused before keeps its own', async () => {
    await database.sql(
      `update punctual.queues set paused_at = $1, paused_reason = 'holiday' where name = 'posts'`,
      [sql.now],
    );
    await database.sql(
      `update punctual.queues set paused_at = $1, paused_reason = 'soon' where name = 'jobs'`,
      [sql.at(10 * hour)],
    );
    const { queues } = await goBack().call();
    const rows = await database.sql('select name, paused_at, paused_reason from punctual.queues');
    for (const { name, paused_at, paused_reason } of rows) {
      const wasPaused = name === 'posts';
      expect({ name, paused_at: Date.parse(paused_at), paused_reason }).toEqual({
        name,
        paused_at: Date.parse(sql.at(wasPaused ? -hour : 0)),
        paused_reason: wasPaused
          ? 'holiday'
          : expect.stringMatching(/^restored to 2026-03-02 12:00:00\+00: see docs\/restore\.md$/),
      });
      expect(queues[name].paused).toBe(!wasPaused);
    }
  });

  it('a running tick claims nothing more, not even new due rows', async () => {
    await sql.addDm(account);
    const tick = sql.tick({ limit_seconds: 800 });
    expect((await tick.claim()).rows).toHaveLength(1);
    const { call } = goBack(60);
    await call();
    await sql.addDm(await sql.addAccount(), { send_at: sql.now });
    expect(await tick.claim()).toMatchObject({ rows: [], paused: expect.stringContaining('restored to') });
  });

  it('the response counts the rows that ticks claimed before the call', async () => {
    const { call } = goBack();
    await sql.addDm(account);
    await sql.drain();
    expect((await call()).queues.dm_queue).toMatchObject({ claimed_since: 1, unknown: 0 });
  });

  it('at-least-once rows are unchanged and run again', async () => {
    await database.sql(
      `insert into punctual.jobs (name, run_at, status) values ('j', $1, 'pending'), ('j', $1, 'done'), ('j', $2, 'pending')`,
      [sql.now, sql.at(2 * hour)],
    );
    expect((await goBack().call()).queues.jobs).toMatchObject({
      delivery: 'at-least-once',
      unknown: 0,
      run_again: 1,
    });
    expect(await database.sql(`select status from punctual.jobs order by id`)).toEqual([
      { status: 'pending' },
      { status: 'done' },
      { status: 'pending' },
    ]);
  });

  it('all rows of a plain at-most-once queue are unknown, even 10,001 of them', async () => {
    await database.sql('insert into app.letters (send_at) select $1 from generate_series(1, 10001)', [
      sql.now,
    ]);
    expect((await goBack().call()).queues.letters).toMatchObject({ unknown: 10_001 });
    expect(await database.sql('select status, count(*) as n from app.letters group by 1')).toEqual([
      { status: 'unknown', n: 10_001 },
    ]);
    expect(
      await database.sql('select outcome, count(distinct letter) as n from app.told group by 1'),
    ).toEqual([{ outcome: 'unknown', n: 10_001 }]);
  });
});

describe('a row that may have been sent in the lost time', () => {
  it('is checked from the instant of the restore on, and proof settles it', async () => {
    const id = await sql.addDm(account);
    const { since, call } = goBack();
    await call();
    sql.pass(30);
    const [check] = await sql.takeUnknown();
    expect(check).toMatchObject({
      id,
      account: { id: account },
      attempted_at: since.replace('.000Z', '+00:00'),
    });
    expect(await sql.check(() => undefined)).toMatchObject({ checked: 0 });
    sql.pass(120);
    expect(await sql.check(() => ({ proof: [{ message_id: 'm' }] }))).toMatchObject({ done: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm' });
  });

  it('is checked from its earlier attempt on if that attempt had not ended', async () => {
    await sql.addDm(account);
    const claimedAt = sql.now;
    await sql.tick({ limit_seconds: 800 }).claim();
    sql.pass(10);
    const { call } = goBack(5);
    await call();
    sql.pass(30);
    expect(await sql.takeUnknown()).toMatchObject([{ attempted_at: claimedAt.replace('.000Z', '+00:00') }]);
  });

  it('counts as not sent only 25 minutes after the call, when no earlier tick can still run', async () => {
    const due = await sql.addDm(account);
    const { id: before } = await sql.addUnknown(await sql.addAccount());
    const { call } = goBack();
    await call();
    sql.pass(1_499);
    expect(await sql.check(() => absent)).toMatchObject({ checked: 2, absent: 0 });
    sql.pass(hour);
    expect(await sql.check(() => absent)).toMatchObject({ checked: 2, absent: 2 });
    for (const id of [due, before]) expect(await sql.dm(id)).toMatchObject({ status: 'pending' });
    expect(await sql.drain()).toEqual([]);
    await unpause();
    sql.pass(24 * hour);
    expect((await sql.drain()).sort()).toEqual([due, before].sort());
  });

  it('is not changed by an outcome of an earlier claim', async () => {
    const { id: unknown, claim_id } = await sql.addUnknown(account);
    const running = await sql.addDm(await sql.addAccount());
    const tick = sql.tick({ limit_seconds: 800 });
    const { claimId } = await tick.claim();
    const { call } = goBack(60);
    await call();
    const records = [
      { id: unknown, claim_id, outcome: 'retry', delay_seconds: 0 },
      { id: running, claim_id: claimId, outcome: 'retry', delay_seconds: 0 },
    ];
    expect((await tick.settle(records)).settled).toMatchObject({ lost: 2, retried: 0 });
    for (const id of [unknown, running]) expect(await sql.dm(id)).toMatchObject({ status: 'unknown' });
  });

  it.each([
    ['that the database knows', (claim: string) => ({ claim })],
    [
      'that the database has lost, if the receipt names the person',
      () => ({ recipient: '49151', claim: crypto.randomUUID() }),
    ],
    [
      'that the database has lost, if the receipt names the user id',
      () => ({ recipient: 'US.1', claim: crypto.randomUUID(), to: 'US.1' }),
    ],
  ])('is proved by the receipt of an attempt %s', async (_, reported) => {
    const cloud = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'cloud' });
    const { to = '+49 151' } = reported('') as { to?: string };
    const id = await sql.addDm(cloud, { channel: 'whatsapp', chat_id: null, recipient: to });
    const { claimId } = await sql.tick().claim();
    await goBack().call();
    const { claim, ...more } = reported(claimId) as { claim: string; recipient?: string };
    const receipt = {
      kind: 'status',
      status: 'delivered',
      message_id: 'wamid.1',
      provider_account_id: 'cloud',
    };
    const strange = { ...receipt, message_id: 'wamid.2', recipient: '49152' };
    await sql.receive([{ ...strange, reference: `dm_queue/${id}/${crypto.randomUUID()}` }]);
    await sql.tick().exchange({ close: true });
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown' });
    await sql.receive([{ ...receipt, ...more, reference: `dm_queue/${id}/${claim}` }]);
    await sql.tick().exchange({ close: true });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'wamid.1' });
  });
});

describe('the accounts', () => {
  it('wait for their next day, and 1 hour at least, because the number sent today is unknown', async () => {
    const [late, tokyo, long] = [
      await sql.addAccount({ time_zone: 'Pacific/Kiritimati' }),
      await sql.addAccount({ time_zone: 'Asia/Tokyo' }),
      await sql.addAccount({ paused_until: sql.at(100 * hour), paused_reason: 'asked to' }),
    ];
    // 23:30 in Berlin.
    const berlin = await sql.addAccount({ time_zone: 'Europe/Berlin' });
    sql.setNow('2026-03-02T21:30:00Z');
    expect(await goBack().call()).toMatchObject({ accounts_paused: 4 });
    const untils = await database.sql('select id, paused_until, paused_reason from punctual.accounts');
    const until = (id: string) => new Date(untils.find((row) => row.id === id)?.paused_until).toISOString();
    expect([account, late, tokyo, berlin, long].map(until)).toEqual([
      '2026-03-03T00:00:00.000Z',
      '2026-03-03T10:00:00.000Z',
      '2026-03-03T15:00:00.000Z',
      '2026-03-02T23:30:00.000Z',
      '2026-03-06T16:00:00.000Z',
    ]);
    expect(untils.find((row) => row.id === long)?.paused_reason).toBe('asked to');
    expect(untils.find((row) => row.id === tokyo)?.paused_reason).toContain('restored to');
  });

  it('stay paused when a webhook reports a disconnected account as connected again', async () => {
    const connection = (more: object) =>
      database.rpc('note_connection', {
        p_provider: 'unipile',
        p_event: { provider_account_id: 'us', ends: [], ...more },
        p_now: sql.now,
      });
    // It is 3 hours before midnight, so the refusal's pause of 4 hours outlasts the restore's.
    sql.setNow('2026-03-02T21:00:00Z');
    await connection({ connected: false, said: 'connect it again' });
    const { call } = goBack(60);
    expect(await call()).toMatchObject({ accounts_paused: 1 });
    expect(await connection({ connected: true })).toBe(false);
    const [{ paused_until, paused_reason, refused }] = await database.sql('select * from punctual.accounts');
    expect([Date.parse(paused_until), paused_reason, refused]).toEqual([
      Date.parse('2026-03-03T01:00:00Z'),
      expect.stringContaining('restored to'),
      null,
    ]);
    expect(await call()).toMatchObject({ accounts_paused: 0 });
  });

  it('count each row that may have been sent, until its absence is proved', async () => {
    await sql.addDm(account);
    expect(await sql.drain()).toHaveLength(1);
    for (let n = 0; n < 3; n++) await sql.addDm(account, { body: `message ${n}` });
    await database.sql(`update punctual.dm_queue set finished_at = '2026-03-01' where body = 'message 0'`);
    await goBack().call();
    expect(await sql.pace(account)).toMatchObject({ used: 4, used_until: '2026-03-03T00:00:00.000Z' });
    sql.pass(2_000);
    await sql.check(({ row }) => (row.body === 'message 0' ? absent : { proof: [{ message_id: row.body }] }));
    expect(await sql.pace(account)).toMatchObject({ used: 3 });
  });

  it('count from 0 on a day on which they had sent nothing', async () => {
    await sql.addDm(account);
    await sql.drain();
    sql.pass(24 * hour);
    await sql.addDm(account);
    await goBack().call();
    expect(await sql.pace(account)).toMatchObject({ used: 1, used_until: '2026-03-04T00:00:00.000Z' });
  });
});

describe('a row whose attempt is lost', () => {
  it('is done if an earlier attempt was proved while the lost one ran', async () => {
    const { id, claim_id } = await sql.addUnknown(account);
    await sql.resolve(id, 'pending');
    await sql.tick().claim(1);
    const done = { id, claim_id, outcome: 'done', result: { provider_message_id: 'm1' } };
    await sql.tick().settle([done]);
    await goBack().call();
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });
});

describe('a second call of after_restore', () => {
  it('changes nothing, whatever happened to the rows since', async () => {
    const ids = [];
    for (let n = 0; n < 4; n++) ids.push(await sql.addDm(account, { body: `message ${n}` }));
    const { call } = goBack();
    expect(await call()).toMatchObject({
      queues: { dm_queue: { unknown: 4, paused: true } },
      accounts_paused: 1,
    });
    sql.pass(2_000);
    await sql.check(({ row }) =>
      row.body === 'message 0'
        ? absent
        : row.body === 'message 1'
          ? { proof: [{ message_id: 'm' }] }
          : undefined,
    );
    await sql.resolve(ids[2] ?? '', 'pending');
    const before = await database.sql('select * from punctual.dm_queue order by id');
    const pace = await sql.pace(account);
    expect(await call()).toMatchObject({
      queues: { dm_queue: { unknown: 0, paused: false } },
      accounts_paused: 0,
    });
    expect(await database.sql('select * from punctual.dm_queue order by id')).toEqual(before);
    expect(await sql.pace(account)).toEqual(pace);
  });

  it('covers rows that were inserted again meanwhile, because they may have been sent before they were lost', async () => {
    const { since, call } = goBack();
    await call();
    const id = await sql.addDm(account, { send_at: sql.at(-60), idempotency_key: 'k' });
    expect(await call()).toMatchObject({ queues: { dm_queue: { unknown: 1 } } });
    sql.pass(30);
    expect(await sql.takeUnknown()).toMatchObject([{ id, attempted_at: since.replace('.000Z', '+00:00') }]);
  });

  it('has rows checked from the earlier instant if the first call named a later one', async () => {
    await sql.addDm(account);
    const { since, call } = goBack();
    await afterRestore(sql.at(-60));
    expect(await call()).toMatchObject({ queues: { dm_queue: { unknown: 1 } } });
    sql.pass(30);
    expect(await sql.takeUnknown()).toMatchObject([{ attempted_at: since.replace('.000Z', '+00:00') }]);
  });
});

describe('the enrolments', () => {
  const person = (name: string, more: object = {}) => ({ account_id: account, recipient: name, ...more });

  it('queue again, as unknown, the messages they may have queued, and proof starts no next step before they are resumed', async () => {
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two', delay_seconds: 60 }]);
    const [id = ''] = await talk.enrol(sequence, [person('ann')]);
    const { since, call } = goBack();
    expect(await call()).toMatchObject({
      messages_queued: 1,
      enrolments_paused: 1,
      queues: { dm_queue: { unknown: 1 }, enrolments: { unknown: 0, run_again: 0 } },
    });
    const [message] = await talk.messages(id);
    expect(message).toMatchObject({ body: 'one', status: 'unknown' });
    expect(Date.parse(message?.send_at ?? '')).toBe(Date.parse(since));
    await unpause();
    sql.pass(2_000);
    await sql.check(() => ({ proof: [{ message_id: 'm' }] }));
    expect(await talk.read(id)).toMatchObject({ step: 2, sent_steps: 1, waits_for: 'somebody to resume it' });
    sql.pass(24 * hour);
    expect(await talk.advance()).toEqual({});
    await talk.call('resume_enrolment', { p_id: id });
    await talk.advance();
    expect(await talk.send()).toEqual(['two']);
  });

  it('queue the step after a reply as unknown too, when the reply arrives again before a second call', async () => {
    const sequence = await talk.addSequence([{ kind: 'question', body: 'one' }, { body: 'two' }]);
    const [id = ''] = await talk.enrol(sequence, [person('ann')]);
    await talk.advance();
    expect(await talk.send()).toEqual(['one']);
    const { since, call } = goBack();
    expect(await call()).toMatchObject({ messages_queued: 0, enrolments_paused: 0 });
    await talk.call('take_reply', { p_id: id, p_reply: { body: 'yes', said_at: since } });
    expect(await call()).toMatchObject({ messages_queued: 1, enrolments_paused: 1 });
    const [, message] = await talk.messages(id);
    expect(message).toMatchObject({ body: 'two', status: 'unknown' });
  });

  it('withdraw a message that was not sent, and queue it again when they are resumed', async () => {
    const sequence = await talk.addSequence([{ body: 'one' }]);
    const [id = ''] = await talk.enrol(sequence, [person('ann')]);
    await goBack().call();
    await unpause();
    sql.pass(24 * hour);
    expect(await sql.check(() => absent)).toMatchObject({ absent: 1 });
    expect(await talk.send()).toEqual([]);
    expect((await talk.messages(id)).map(({ status }) => status)).toEqual(['cancelled']);
    await talk.call('resume_enrolment', { p_id: id });
    await talk.advance();
    expect(await talk.send()).toEqual(['one']);
  });

  it('are paused if their message was queued, and unchanged if they were not due or end without one', async () => {
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two', delay_seconds: 10 * hour }]);
    const [later = ''] = await talk.enrol(sequence, [person('bob')]);
    await talk.advance();
    await talk.send();
    const [queued = ''] = await talk.enrol(sequence, [person('ann')]);
    await talk.advance();
    const question = await talk.addSequence([
      { kind: 'question', body: 'three', no_reply: { after_seconds: 60, action: 'stop' } },
    ]);
    const [ending = ''] = await talk.enrol(question, [person('eve')]);
    await talk.advance();
    await database.sql(
      `update punctual.dm_queue set send_at = send_at - interval '1 second' where enrolment_id = $1`,
      [ending],
    );
    await talk.claim(1).then(({ messages, tick }) =>
      tick.settle(
        messages.map(({ id, claim_id }) => ({
          id,
          claim_id,
          outcome: 'done',
          result: { provider_message_id: 'm3' },
        })),
        { close: true },
      ),
    );
    expect(await goBack().call()).toMatchObject({ messages_queued: 0, enrolments_paused: 1 });
    expect((await talk.read(queued)).paused_at).not.toBeNull();
    for (const id of [later, ending]) expect((await talk.read(id)).paused_at).toBeNull();
  });

  it('queue a message that was due within its sending hours, and none before its hours begin', async () => {
    const hours = { mon: ['11:00-12:30'] };
    const sequence = await talk.addSequence([{ body: 'one', hours }], { time_zone: 'UTC' });
    const [id = ''] = await talk.enrol(sequence, [person('ann')]);
    // The database is back on Monday at 13:00.
    expect(await goBack().call()).toMatchObject({ messages_queued: 1 });
    expect((await talk.messages(id)).map(({ status }) => status)).toEqual(['unknown']);
    const [other = ''] = await talk.enrol(sequence, [person('bob')]);
    await database.sql('update punctual.enrolments set next_step_at = $1 where id = $2', [
      sql.at(-60),
      other,
    ]);
    expect(await goBack(60).call()).toMatchObject({ messages_queued: 0 });
    expect(await talk.messages(other)).toEqual([]);
    expect(Date.parse((await talk.read(other)).next_step_at)).toBe(Date.parse('2026-03-09T11:00:00Z'));
  });
});

describe('a queue whose table was not restored', () => {
  it('is named in an error with the remedy, and nothing changes', async () => {
    await sql.addDm(account);
    await database.sql('create table app.gone (id bigint primary key, due timestamptz)');
    await database.sql(`select punctual.add_queue('gone', 'app.gone', 'due', 'at-least-once')`);
    await database.sql('drop table app.gone');
    const { call } = goBack();
    await expect(call()).rejects.toMatchObject({
      message: 'after_restore: the table app.gone of the queue gone does not exist',
      hint: expect.stringContaining("select punctual.remove_queue('gone')"),
    });
    expect(await database.sql('select from punctual.queues where paused_at is not null')).toEqual([]);
    await database.sql(`select punctual.remove_queue('gone')`);
    expect(await call()).toMatchObject({ queues: { dm_queue: { unknown: 1 } } });
  });
});

describe('an impossible instant', () => {
  it.each([
    ['null', () => null, 'after_restore: p_since is null'],
    [
      'in the future',
      () => sql.at(1),
      'after_restore: 2026-03-02 12:00:01+00 is in the future: now is 2026-03-02 12:00:00+00',
    ],
    ['infinity', () => 'infinity', 'after_restore: infinity is in the future'],
    [
      'more than a year ago',
      () => '2025-03-02T11:59:59Z',
      'after_restore: 2025-03-02 11:59:59+00 is more than a year ago',
    ],
    ['-infinity', () => '-infinity', 'after_restore: -infinity is more than a year ago'],
  ])('is refused and changes nothing: %s', async (_, since, message) => {
    await sql.addDm(account);
    await expect(afterRestore(since())).rejects.toThrow(message);
    expect(await database.sql('select name from punctual.queues where paused_at is not null')).toEqual([]);
    expect(await database.sql('select status from punctual.dm_queue')).toEqual([{ status: 'pending' }]);
  });
});
