import { beforeEach, describe, expect, it } from 'vitest';
import { perTestConversations, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);

const hour = 3_600;

/** Restores the database to this instant, and lets `lost` seconds pass until it is back. `call` calls after_restore. */
function goBack(lost = hour) {
  const [since, at] = [sql.now, talk.at()];
  sql.pass(lost);
  return { since, at, call: () => afterRestore(since) };
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
const provedAs = (message_id = 'm') => ({ proof: [{ message_id }] });
const dms = () => database.sql('select * from punctual.dm_queue order by id');

describe('after a restore', () => {
  it('due rows that may have been sent are unknown, and no other row changes', async () => {
    const due = { send_at: sql.at(-60) };
    const rows: [status: string, row: object][] = [
      ['unknown', due],
      ['unknown', { send_at: sql.at(1_800) }],
      ['unknown', { ...due, next_attempt_at: sql.at(60), attempts: 1 }],
      ['pending', { send_at: sql.at(hour + 1) }],
      ['pending', { ...due, next_attempt_at: sql.at(hour + 1) }],
      ['pending', { ...due, expires_at: sql.at(-1) }],
      ['unknown', { ...due, expires_at: sql.at(1) }],
      ['sent', { status: 'sent', finished_at: sql.now }],
      ['failed', { status: 'failed', finished_at: sql.now }],
      ['cancelled', { status: 'cancelled', finished_at: sql.now }],
    ];
    for (const [, row] of rows) await sql.addDm(talk.account, row as Record<string, unknown>);
    const { since, call } = goBack();
    expect(await call()).toMatchObject({ queues: { dm_queue: { unknown: 4, run_again: 0 } } });
    const after = await dms();
    expect(after.map(({ status }) => status)).toEqual(rows.map(([status]) => status));
    expect(after[0]).toMatchObject({ attempts: 0, claimed_at: since });
    const text = expect.stringContaining('it may have been sent since');
    expect(await sql.history('1')).toEqual([['restored', text]]);
  });

  it('a retry leaves rows that had failed or were cancelled, because they may have been retried and sent in the lost time', async () => {
    for (const status of ['failed', 'cancelled'])
      await sql.addDm(talk.account, { status, finished_at: sql.now, claimed_at: sql.at(-60) });
    const { call } = goBack();
    const retry = async (confirm = {}) => {
      const filter = { status: ['failed', 'cancelled'] };
      const [row] = await database.sql(
        `select punctual.start_action('dm_queue', 'retry', $1, $2, 'Mira', p_dry_run => true) as answer`,
        [filter, confirm],
      );
      return row.answer;
    };
    expect(await retry()).toMatchObject({ count: 2, left: {} });
    await call();
    expect(await retry()).toMatchObject({ count: 0, left: { may_have_been_sent: { count: 2 } } });
    expect(await retry({ confirm: 'may_send_twice' })).toMatchObject({ count: 2, left: {} });
    // The attempt from before keeps its instant.
    expect((await dms()).map(({ reconcile }) => Date.parse(reconcile.first_at))).toEqual(
      (await dms()).map(({ claimed_at }) => Date.parse(claimed_at)),
    );
  });

  it('every queue is paused with the reason until somebody resumes, and a queue that was so paused before keeps its own', async () => {
    const pause = (name: string, at: string, reason: string, until: string | null = null) =>
      database.sql(
        'update punctual.queues set paused_at = $2, paused_reason = $3, paused_until = $4 where name = $1',
        [name, at, reason, until],
      );
    await pause('posts', sql.now, 'holiday');
    await pause('jobs', sql.at(10 * hour), 'soon');
    await pause('monitors', sql.now, 'lunch', sql.at(10 * hour));
    const { since, call } = goBack();
    const { queues } = await call();
    const ours = expect.stringMatching(/^restored to 2026-03-02 12:00:00\+00: see docs\/restore\.md$/);
    const rows = await database.sql(
      'select name, paused_at, paused_until, paused_reason from punctual.queues',
    );
    for (const { name, ...paused } of rows) {
      const wasPaused = name === 'posts';
      const [paused_at, paused_reason] = wasPaused ? [since, 'holiday'] : [sql.now, ours];
      expect([name, paused]).toEqual([name, { paused_at, paused_until: null, paused_reason }]);
      expect(queues[name].paused).toBe(!wasPaused);
    }
  });

  it('a running tick claims nothing more, not even new due rows', async () => {
    await sql.addDm(talk.account);
    const tick = sql.tick({ limit_seconds: 800 });
    expect((await tick.claim()).rows).toHaveLength(1);
    await goBack(60).call();
    await sql.addDm(await sql.addAccount(), { send_at: sql.now });
    const paused = expect.stringContaining('restored to');
    expect(await tick.claim()).toMatchObject({ rows: [], paused });
  });

  it('the response counts the rows that ticks claimed before the call', async () => {
    const { call } = goBack();
    await sql.addDm(talk.account);
    await sql.drain();
    expect((await call()).queues.dm_queue).toMatchObject({ claimed_since: 1, unknown: 0 });
  });

  it('at-least-once rows are unchanged and run again', async () => {
    await database.sql(
      `insert into punctual.jobs (name, run_at, status) values ('j', $1, 'pending'), ('j', $1, 'done'), ('j', $2, 'pending')`,
      [sql.now, sql.at(2 * hour)],
    );
    const jobs = { delivery: 'at-least-once', unknown: 0, run_again: 1 };
    expect(await goBack().call()).toMatchObject({ queues: { jobs } });
    const statuses = await database.sql('select status from punctual.jobs order by id');
    expect(statuses.map(({ status }) => status)).toEqual(['pending', 'done', 'pending']);
  });
});

describe('a row that may have been sent in the lost time', () => {
  it('is checked from the instant of the restore on, and proof settles it', async () => {
    const id = await sql.addDm(talk.account);
    const { at, call } = goBack();
    await call();
    sql.pass(30);
    const check = { id, account: { id: talk.account }, attempted_at: at };
    expect(await sql.takeUnknown()).toMatchObject([check]);
    expect(await sql.check(() => undefined)).toMatchObject({ checked: 0 });
    sql.pass(120);
    expect(await sql.check(() => provedAs())).toMatchObject({ done: 1 });
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm' });
  });

  it('is checked from its earlier attempt on if that attempt had not ended', async () => {
    await sql.addDm(talk.account);
    const attempted_at = talk.at();
    await sql.tick({ limit_seconds: 800 }).claim();
    sql.pass(10);
    await goBack(5).call();
    sql.pass(30);
    expect(await sql.takeUnknown()).toMatchObject([{ attempted_at }]);
  });

  it('counts as not sent only 25 minutes after the call, when no earlier tick can still run', async () => {
    const due = await sql.addDm(talk.account);
    const { id: before } = await sql.addUnknown(await sql.addAccount());
    await goBack().call();
    sql.pass(1_499);
    expect(await sql.check(() => absent)).toMatchObject({ checked: 2, absent: 0 });
    sql.pass(hour);
    expect(await sql.check(() => absent)).toMatchObject({ checked: 2, absent: 2 });
    for (const row of await dms()) expect(row).toMatchObject({ status: 'pending' });
    expect(await sql.drain()).toEqual([]);
    await unpause();
    sql.pass(24 * hour);
    expect((await sql.drain()).sort()).toEqual([due, before].sort());
  });

  it('is not changed by an outcome of an earlier claim', async () => {
    const { id: unknown, claim_id } = await sql.addUnknown(talk.account);
    const running = await sql.addDm(await sql.addAccount());
    const tick = sql.tick({ limit_seconds: 800 });
    const { claimId } = await tick.claim();
    await goBack(60).call();
    const retry = { outcome: 'retry', delay_seconds: 0 };
    const { settled } = await tick.settle([
      { id: unknown, claim_id, ...retry },
      { id: running, claim_id: claimId, ...retry },
    ]);
    expect(settled).toMatchObject({ lost: 2, retried: 0 });
    for (const row of await dms()) expect(row).toMatchObject({ status: 'unknown' });
  });

  it.each([
    ['that the database knows', '+49 151', (claim: string) => ({ claim })],
    [
      'that the database has lost, if the receipt names the person',
      '+49 151',
      () => ({ recipient: '49151' }),
    ],
    ['that the database has lost, if the receipt names the user id', 'US.1', () => ({ recipient: 'US.1' })],
  ])('is proved by the receipt of an attempt %s', async (_attempt, to, reported) => {
    const cloud = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'cloud' });
    const id = await sql.addDm(cloud, { channel: 'whatsapp', chat_id: null, recipient: to });
    const { claimId } = await sql.tick().claim();
    await goBack().call();
    const receive = async (message_id: string, { claim = crypto.randomUUID() as string, ...more }) => {
      const receipt = { kind: 'status', status: 'delivered', message_id, provider_account_id: 'cloud' };
      await sql.receive([{ ...receipt, ...more, reference: `dm_queue/${id}/${claim}` }]);
      await sql.tick().close();
    };
    await receive('wamid.2', { recipient: '49152' });
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown' });
    await receive('wamid.1', reported(claimId));
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'wamid.1' });
  });

  it('is done if an earlier attempt was proved while the lost one ran', async () => {
    const { id, claim_id } = await sql.addUnknown(talk.account);
    await sql.resolve(id, 'pending');
    await sql.tick().claim(1);
    const result = { provider_message_id: 'm1' };
    await sql.tick().settle([{ id, claim_id, outcome: 'done', result }]);
    await goBack().call();
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });
});

describe('the accounts', () => {
  it('wait for their next day, and 1 hour at least, because the number sent today is unknown', async () => {
    sql.setNow('2026-03-02T21:30:00Z');
    const expected: [time_zone: string, until: string][] = [
      ['UTC', '2026-03-03T00:00:00.000Z'],
      ['Pacific/Kiritimati', '2026-03-03T10:00:00.000Z'],
      ['Asia/Tokyo', '2026-03-03T15:00:00.000Z'],
      // 23:30 after the restore.
      ['Europe/Berlin', '2026-03-02T23:30:00.000Z'],
    ];
    for (const [time_zone] of expected.slice(1)) await sql.addAccount({ time_zone });
    const own = { paused_until: '2026-03-06T16:00:00.000Z', paused_reason: 'asked to' };
    await sql.addAccount({ time_zone: 'America/Lima', ...own });
    expect(await goBack().call()).toMatchObject({ accounts_paused: 4 });
    const accounts = await database.sql(
      'select time_zone, paused_until, paused_reason from punctual.accounts',
    );
    const paused = new Map(accounts.map(({ time_zone, ...more }) => [time_zone, more]));
    const paused_reason = expect.stringContaining('restored to');
    for (const [zone, paused_until] of expected)
      expect([zone, paused.get(zone)]).toEqual([zone, { paused_until, paused_reason }]);
    expect(paused.get('America/Lima')).toEqual(own);
  });

  it('stay paused when a webhook reports a disconnected account as connected again', async () => {
    const report = (event: object) =>
      talk.call('note_connection', {
        p_provider: 'unipile',
        p_event: { provider_account_id: 'us', ends: [], ...event },
      });
    // It is 3 hours before midnight, so the refusal's pause of 4 hours outlasts the restore's.
    sql.setNow('2026-03-02T21:00:00Z');
    await report({ connected: false, said: 'connect it again' });
    const { call } = goBack(60);
    expect(await call()).toMatchObject({ accounts_paused: 1 });
    expect(await report({ connected: true })).toBe(false);
    expect(await database.sql('select * from punctual.accounts')).toMatchObject([
      {
        paused_until: '2026-03-03T01:00:00.000Z',
        paused_reason: expect.stringContaining('restored to'),
        refused: null,
      },
    ]);
    expect(await call()).toMatchObject({ accounts_paused: 0 });
  });

  it('count each row that may have been sent, until its absence is proved', async () => {
    await sql.addDm(talk.account);
    expect(await sql.drain()).toHaveLength(1);
    for (let n = 0; n < 3; n++) await sql.addDm(talk.account, { body: `message ${n}` });
    await database.sql(`update punctual.dm_queue set finished_at = '2026-03-01' where body = 'message 0'`);
    await goBack().call();
    const used = { used: 4, used_until: '2026-03-03T00:00:00.000Z' };
    expect(await sql.pace(talk.account)).toMatchObject(used);
    sql.pass(2_000);
    await sql.check(({ row }) => (row.body === 'message 0' ? absent : provedAs(row.body)));
    expect(await sql.pace(talk.account)).toMatchObject({ used: 3 });
  });

  it('count from 0 on a day on which they had sent nothing', async () => {
    await sql.addDm(talk.account);
    await sql.drain();
    sql.pass(24 * hour);
    await sql.addDm(talk.account);
    await goBack().call();
    const used = { used: 1, used_until: '2026-03-04T00:00:00.000Z' };
    expect(await sql.pace(talk.account)).toMatchObject(used);
  });
});

describe('a second call of after_restore', () => {
  it('changes nothing, whatever happened to the rows since', async () => {
    for (let n = 0; n < 4; n++) await sql.addDm(talk.account, { body: `message ${n}` });
    const { call } = goBack();
    const first = { queues: { dm_queue: { unknown: 4, paused: true } }, accounts_paused: 1 };
    expect(await call()).toMatchObject(first);
    sql.pass(2_000);
    const found: Record<string, object> = { 'message 0': absent, 'message 1': provedAs() };
    await sql.check(({ row }) => found[row.body]);
    await sql.resolve('3', 'pending');
    const before = [await dms(), await sql.pace(talk.account)];
    const second = { queues: { dm_queue: { unknown: 0, paused: false } }, accounts_paused: 0 };
    expect(await call()).toMatchObject(second);
    expect([await dms(), await sql.pace(talk.account)]).toEqual(before);
  });

  it('covers rows that were inserted again meanwhile, because they may have been sent before they were lost', async () => {
    const { at, call } = goBack();
    await call();
    const id = await sql.addDm(talk.account, { send_at: sql.at(-60), idempotency_key: 'k' });
    expect(await call()).toMatchObject({ queues: { dm_queue: { unknown: 1 } } });
    sql.pass(30);
    expect(await sql.takeUnknown()).toMatchObject([{ id, attempted_at: at }]);
  });

  it('has rows checked from the earlier instant if the first call named a later one', async () => {
    await sql.addDm(talk.account);
    const { at, call } = goBack();
    await afterRestore(sql.at(-60));
    expect(await call()).toMatchObject({ queues: { dm_queue: { unknown: 1 } } });
    sql.pass(30);
    expect(await sql.takeUnknown()).toMatchObject([{ attempted_at: at }]);
  });
});

describe('the enrolments', () => {
  const statuses = async (id: string) => (await talk.messages(id)).map(({ status }) => status);

  it('queue again, as unknown, the messages they may have queued, and proof starts no next step before they are resumed', async () => {
    const id = await talk.enrolAnn([{ body: 'one' }, { body: 'two', delay_seconds: 60 }]);
    const { since, call } = goBack();
    expect(await call()).toMatchObject({
      messages_queued: 1,
      enrolments_paused: 1,
      queues: { dm_queue: { unknown: 1 }, enrolments: { unknown: 0, run_again: 0 } },
    });
    expect(await talk.messages(id)).toMatchObject([{ body: 'one', status: 'unknown', send_at: since }]);
    await unpause();
    sql.pass(2_000);
    await sql.check(() => provedAs());
    const waiting = { step: 2, sent_steps: 1, waits_for: 'somebody to resume it' };
    expect(await talk.read(id)).toMatchObject(waiting);
    sql.pass(24 * hour);
    expect(await talk.advance()).toEqual({});
    await talk.call('resume_enrolment', { p_id: id });
    expect(await talk.sendStep()).toEqual(['two']);
  });

  it('queue the step after a reply as unknown too, when the reply arrives again before a second call', async () => {
    const id = await talk.enrolAnn([{ kind: 'question', body: 'one' }, { body: 'two' }]);
    expect(await talk.sendStep()).toEqual(['one']);
    const { since, call } = goBack();
    expect(await call()).toMatchObject({ messages_queued: 0, enrolments_paused: 0 });
    await talk.call('take_reply', { p_id: id, p_reply: { body: 'yes', said_at: since } });
    expect(await call()).toMatchObject({ messages_queued: 1, enrolments_paused: 1 });
    expect((await talk.messages(id))[1]).toMatchObject({ body: 'two', status: 'unknown' });
  });

  it('withdraw a message that was not sent, and queue it again when they are resumed', async () => {
    const id = await talk.enrolAnn([{ body: 'one' }]);
    await goBack().call();
    await unpause();
    sql.pass(24 * hour);
    expect(await sql.check(() => absent)).toMatchObject({ absent: 1 });
    expect(await talk.send()).toEqual([]);
    expect(await statuses(id)).toEqual(['cancelled']);
    await talk.call('resume_enrolment', { p_id: id });
    expect(await talk.sendStep()).toEqual(['one']);
  });

  it('are paused if their message was queued, and unchanged if they were not due or end without one', async () => {
    const later = await talk.enrolAnn([{ body: 'one' }, { body: 'two', delay_seconds: 10 * hour }]);
    await talk.sendStep();
    const no_reply = { after_seconds: 60, action: 'stop' };
    const ending = await talk.enrolAnn([{ kind: 'question', body: 'three', no_reply }]);
    await talk.sendStep();
    const queued = await talk.enrolAnn([{ body: 'four' }]);
    await talk.advance();
    expect(await goBack().call()).toMatchObject({ messages_queued: 0, enrolments_paused: 1 });
    expect((await talk.read(queued)).paused_at).not.toBeNull();
    for (const id of [later, ending]) expect((await talk.read(id)).paused_at).toBeNull();
  });

  it('queue a message that was due within its sending hours, and none before its hours begin', async () => {
    const steps = [{ body: 'one', hours: { mon: ['11:00-12:30'] } }];
    const id = await talk.enrolAnn(steps, { time_zone: 'UTC' });
    // The database is back on Monday at 13:00.
    expect(await goBack().call()).toMatchObject({ messages_queued: 1 });
    expect(await statuses(id)).toEqual(['unknown']);
    const other = await talk.enrolAnn(steps, { time_zone: 'UTC' });
    await database.sql('update punctual.enrolments set next_step_at = $1 where id = $2', [
      sql.at(-60),
      other,
    ]);
    expect(await goBack(60).call()).toMatchObject({ messages_queued: 0 });
    expect(await talk.messages(other)).toEqual([]);
    expect(await talk.read(other)).toMatchObject({ next_step_at: '2026-03-09T11:00:00+00:00' });
  });
});

describe('an impossible instant', () => {
  beforeEach(() => sql.addDm(talk.account));

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
  ])('is refused and changes nothing: %s', async (_instant, since, message) => {
    await expect(afterRestore(since())).rejects.toThrow(message);
    expect(await database.sql('select name from punctual.queues where paused_at is not null')).toEqual([]);
    expect(await dms()).toMatchObject([{ status: 'pending' }]);
  });
});
