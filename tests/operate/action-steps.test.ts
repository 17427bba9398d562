import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as actionsApi } from '../../lib/api/actions.ts';
import { runAction } from '../../lib/operate/rows/actions.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { attempt } from '../support/attempt.ts';
import { conversations } from '../support/conversations.ts';
import { perTest, perTestExchanges, servedDatabase } from '../support/fixtures.ts';
import { of, rowActions } from '../support/row-actions.ts';
import { makeTasks } from '../support/tasks.ts';

const { 'GET /actions/:id/proof': PROVE } = actionsApi;

const database = servedDatabase({}, { own: true });
const sql = perTestExchanges(database);
const tasks = perTest(() => makeTasks(database));
const { start, act, read, stop, resume, addFailed, row, history } = rowActions(database, sql);
let account: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount();
});

const failed = (more?: object) => addFailed(account, more);
const proof = async (id: string, query = '') =>
  (await answered(PROVE(apiRequest('GET', `/api/x${query}`), of(id)))).body;

describe('an action', () => {
  it('retries the rows that match, each with new attempts, and says who did it', async () => {
    const [one, two] = [await failed(), await failed({ last_error: 'rate limited' })];
    const action = await act({
      action: 'retry',
      filter: { status: 'failed', text: 'person' },
      note: 'ticket 7',
    });
    expect(action).toMatchObject({
      state: 'done',
      total: 1,
      written: 1,
      skipped: 0,
      by: 'the API',
      note: 'ticket 7',
      now: { pending: 1 },
    });
    expect(await row(one)).toMatchObject({
      status: 'pending',
      attempts: 0,
      next_attempt_at: null,
      finished_at: null,
    });
    expect(await row(two)).toMatchObject({ status: 'failed', attempts: 5 });
    expect(await history(one)).toEqual([
      { event: 'action', text: `the API had it tried again (action ${action.id}): ticket 7` },
    ]);
    expect(await attempt(sql)).toBe(one);
    expect((await read(action.id)).body).toMatchObject({ now: { done: 1 } });
  });

  it('skips a row that changed after the action took it', async () => {
    const [one, two] = [await failed(), await failed()];
    const { body } = await start({ action: 'retry', filter: { status: 'failed' } });
    expect(body).toMatchObject({ state: 'running', total: 2 });
    await database.sql(`update punctual.dm_queue set status = 'cancelled' where id = $1`, [one]);
    await database.sql(
      `update punctual.dm_queue set status = 'sending', claim_id = gen_random_uuid() where id = $1`,
      [two],
    );
    const late = await failed({ finished_at: sql.at(60) });
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({
      state: 'done',
      written: 0,
      skipped: 2,
      skips: [{ reason: 'changed', count: 2 }],
    });
    expect([(await row(one)).status, (await row(two)).status, (await row(late)).status]).toEqual([
      'cancelled',
      'sending',
      'failed',
    ]);
  });

  it('leaves a row that was retried and failed anew since the action was asked for', async () => {
    const id = await failed();
    const { body } = await start({ action: 'retry', filter: { status: 'failed' } });
    await stop(body.id);
    await act({ action: 'retry', ids: [id] });
    sql.pass(60);
    expect(await attempt(sql, { outcome: 'dead', error: 'no such person' })).toBe(id);
    await resume(body.id);
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({
      written: 0,
      skips: [{ reason: 'changed', count: 1 }],
    });
    expect(await row(id)).toMatchObject({ status: 'failed', attempts: 1 });
  });

  it('changes rows of a person’s table that had ended before it became a queue', async () => {
    await database.sql('alter table app.tasks disable trigger user');
    const id = await tasks.add({ due: sql.at(-10), status: 'dead' });
    await database.sql('alter table app.tasks enable trigger user');
    expect(await tasks.row(id)).toMatchObject({ finished_at: null });
    const filter = { status: 'dead' };
    expect((await start({ action: 'retry', filter, dry_run: true }, 'tasks')).body).toMatchObject({
      count: 1,
    });
    expect(await act({ action: 'retry', filter, expect: 1 } as object, 'tasks')).toMatchObject({
      written: 1,
    });
  });

  it('cancels, makes due, and changes the priority of pending rows, and frees an account that waits for one', async () => {
    const [one, two] = [
      await sql.addDm(account, { send_at: sql.at(-10) }),
      await sql.addDm(account, { send_at: sql.at(-5) }),
    ];
    expect(await attempt(sql, { outcome: 'retry', error: 'busy', delay_seconds: 3_600 })).toBe(one);
    expect(await attempt(sql)).toBeNull();
    expect(await act({ action: 'reschedule', ids: [one], due_at: sql.at(7_200) })).toMatchObject({
      written: 1,
    });
    expect(await attempt(sql)).toBe(two);
    const three = await sql.addDm(account, { send_at: sql.at(7_200) });
    expect(await act({ action: 'prioritise', ids: [three], priority: 0 })).toMatchObject({ written: 1 });
    expect(await row(three)).toMatchObject({ priority: 0 });
    expect(
      await act({ action: 'cancel', filter: { status: 'pending', account }, note: 'wrong list' }),
    ).toMatchObject({ written: 2 });
    expect(await row(one)).toMatchObject({ status: 'cancelled', last_error: 'wrong list' });
    expect((await history(three)).map(({ event }) => event)).toEqual(['action', 'decided']);
  });

  it('ends an account’s wait to retry a message, which a new priority does not', async () => {
    const [one, two] = [
      await sql.addDm(account, { send_at: sql.at(-10) }),
      await sql.addDm(account, { send_at: sql.at(-5) }),
    ];
    expect(await attempt(sql, { outcome: 'retry', error: 'busy', delay_seconds: 3_600 })).toBe(one);
    expect(await act({ action: 'prioritise', ids: [one], priority: 0 })).toMatchObject({ written: 1 });
    expect(await attempt(sql)).toBeNull();
    expect((await start({ action: 'retry_now', ids: [two] })).body).toMatchObject({
      left: { not_waiting: { count: 1 } },
    });
    expect(await act({ action: 'retry_now', ids: [one] })).toMatchObject({ written: 1 });
    expect(await attempt(sql)).toBe(one);
  });

  it('ends the wait for a retry', async () => {
    const id = await tasks.add({ due: sql.at(-10) });
    const tick = sql.tick({ queue: 'tasks', partition: 'a' });
    const { claimId } = await tick.claim();
    await tick.settle([{ id, claim_id: claimId, outcome: 'retry', error: 'e', delay_seconds: 3_600 }], {
      close: true,
    });
    expect((await sql.tick({ queue: 'tasks', partition: 'a' }).claim()).rows).toEqual([]);
    expect(await act({ action: 'retry_now', filter: { status: 'pending' } }, 'tasks')).toMatchObject({
      written: 1,
    });
    sql.pass(60);
    expect((await sql.tick({ queue: 'tasks', partition: 'a' }).claim()).rows).toMatchObject([{ id }]);
  });

  it('retries done rows where they may run twice, and deletes settled ones', async () => {
    const id = await tasks.add({
      due: sql.at(-10),
      status: 'done',
      finished_at: sql.at(-60),
      idempotency_key: 'k',
    });
    expect(await act({ action: 'retry', ids: [id] }, 'tasks')).toMatchObject({ written: 1 });
    expect(await tasks.row(id)).toMatchObject({ status: 'pending' });
    expect((await start({ action: 'delete', ids: [id] }, 'tasks')).body).toMatchObject({ count: 0 });
    await database.sql(`update app.tasks set status = 'dead', finished_at = now() - interval '1 minute'`);
    expect(await act({ action: 'delete', filter: { status: 'dead' } }, 'tasks')).toMatchObject({
      written: 1,
      now: {},
    });
    expect(await tasks.row(id)).toBeUndefined();
  });

  it('writes the other rows if a trigger of the table refuses one', async () => {
    const ids = [];
    for (let n = 0; n < 3; n++)
      ids.push(await tasks.add({ due: sql.at(-10), status: 'dead', finished_at: sql.at(-60) }));
    await database.sql(`create or replace function app.refuse() returns trigger language plpgsql as
      $$ begin if new.id = ${ids[1]} and new.status = 'pending' then raise exception 'not this one'; end if; return new; end $$`);
    await database.sql(
      'create trigger refuse before update on app.tasks for each row execute function app.refuse()',
    );
    expect(await act({ action: 'retry', filter: { status: 'dead' } }, 'tasks')).toMatchObject({
      state: 'done',
      written: 2,
      skipped: 1,
      skips: [{ reason: 'not this one', count: 1 }],
      now: { pending: 2 },
    });
  });

  it('resumes the enrolment of a failed message, so that its step is tried once', async () => {
    const talk = conversations(database, sql);
    await talk.enrol(await talk.addSequence([{}]), [{ account_id: account, recipient: 'ana' }]);
    expect(await talk.sendStep('dead')).toHaveLength(1);
    const filter = { status: 'failed' };
    expect(await act({ action: 'retry', filter })).toMatchObject({ written: 1, now: { dead: 1 } });
    expect((await start({ action: 'retry', filter })).body).toMatchObject({
      count: 0,
      left: { sequence: { count: 1 } },
    });
    sql.pass(60);
    expect(await talk.sendStep()).toHaveLength(1);
    expect(await attempt(sql)).toBeNull();
  });

  describe('of a sequence', () => {
    const filter = { status: 'dead' };
    const retry = (more: object = {}) => start({ action: 'retry', filter, ...more }, 'enrolments');
    /** Enrols a person whose first message fails, and has an operator decide that it did. */
    async function failAfter(outcome: 'dead' | 'unknown') {
      const talk = conversations(database, sql);
      const [id = ''] = await talk.enrol(await talk.addSequence([{}]), [
        { account_id: account, recipient: crypto.randomUUID() },
      ]);
      const fail = async (outcome: 'dead' | 'unknown') => {
        await talk.sendStep(outcome);
        const message = String(((await talk.messages(id)) as unknown as { id: number }[]).at(-1)?.id);
        if (outcome === 'unknown') await sql.resolve(message, 'failed');
      };
      await fail(outcome);
      expect(await talk.read(id)).toMatchObject({ phase: 'failed' });
      return { id, talk, fail };
    }

    it('never retries an enrolment whose message may have been sent, unless that is confirmed', async () => {
      const { id, talk } = await failAfter('unknown');
      const left = { may_have_been_sent: { count: 1, sample: [id] } };
      expect((await retry({ dry_run: true })).body).toMatchObject({ count: 0, left });
      expect((await retry()).body).toMatchObject({ count: 0, left });
      expect(await act({ action: 'retry', filter, confirm: 'may_send_twice' }, 'enrolments')).toMatchObject({
        written: 1,
      });
      sql.pass(60);
      expect(await talk.sendStep()).toHaveLength(1);
    });

    it('leaves an enrolment whose next message may have been sent since the action was asked for', async () => {
      const { id, talk, fail } = await failAfter('dead');
      const { body } = await retry();
      await stop(body.id);
      await talk.call('resume_enrolment', { p_id: id });
      sql.pass(60);
      await fail('unknown');
      await resume(body.id);
      await runAction(database.rpc, body.id, 60_000);
      expect((await read(body.id)).body).toMatchObject({
        written: 0,
        skips: [{ reason: 'changed', count: 1 }],
      });
      expect(await talk.read(id)).toMatchObject({ phase: 'failed' });
    });

    it('leaves an enrolment that did not fail', async () => {
      const { id, talk } = await failAfter('dead');
      await talk.call('stop_enrolment', { p_id: id });
      expect((await retry({ filter: { status: 'cancelled' } })).body).toMatchObject({
        count: 0,
        left: { sequence: { count: 1 } },
      });
    });
  });
});

describe('GET /api/actions/:id/proof', () => {
  it('shows that messages that were refused and then retried were sent once', async () => {
    const refused = await sql.addDm(account, { send_at: sql.at(-10) });
    expect(await attempt(sql, { outcome: 'dead', error: 'no such person' })).toBe(refused);
    const cancelled = await sql.addDm(account, {
      status: 'cancelled',
      finished_at: sql.at(-60),
      send_at: sql.at(3_600),
    });
    sql.pass(1);
    const { body } = await start({ action: 'retry', filter: { status: ['failed', 'cancelled'] } });
    await runAction(database.rpc, body.id, 60_000);
    expect(await proof(body.id)).toEqual({ rows: 2, verdicts: { not_sent: 2 }, next: null });
    sql.pass(60);
    expect(await attempt(sql, { result: { provider_message_id: 'm' } })).toBe(refused);
    expect(await proof(body.id)).toEqual({
      rows: 2,
      verdicts: { by_answer_alone: 1, not_sent: 1 },
      next: null,
    });
    expect((await row(cancelled)).status).toBe('pending');
    expect(await proof('999')).toMatchObject({ error: { kind: 'not_found' } });
    for (const cursor of ['', refused, 'x'])
      expect(await proof(body.id, `?cursor=${cursor}`)).toMatchObject({ error: { kind: 'invalid' } });
  });
});

it('the morning after: 500 failed messages of two accounts go out once each, within their limits', async () => {
  const limited = await sql.addAccount({ daily_limit: 100 });
  for (const id of [account, limited])
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, recipient, body, send_at, status, attempts, last_error, finished_at)
       select $1, 'whatsapp', 'person ' || n, 'b', $2, 'failed', 1, 'whatsapp answered 401 (190): the key ' || n || ' is wrong', $2
         from generate_series(1, 250) n`,
      [id, sql.at(-3_600)],
    );
  await failed({ last_error: 'another error' });
  const [{ id: error }] = await database.sql(
    `select punctual.error_group('whatsapp answered 401 (190): the key 7 is wrong') as id`,
  );
  const body = { action: 'retry', filter: { status: 'failed', error }, note: 'ticket 4711' };
  expect((await start({ ...body, dry_run: true })).body).toMatchObject({ count: 500, more: false, left: {} });
  const click = () => start({ ...body, expect: 500, key: 'k' });
  const { body: action } = await click();
  expect(action).toMatchObject({ total: 500 });
  await runAction(database.rpc, action.id, 60_000);
  const sent: string[] = [];
  for (let rows = -1; rows !== 0; ) {
    const tick = sql.tick();
    const claimed = await tick.claim();
    rows = claimed.rows.length;
    sent.push(...claimed.rows.map(({ id }) => id));
    const records = claimed.rows.map(({ id, account }) => {
      const result = { provider_message_id: `m${id}` };
      return { id, claim_id: claimed.claimId, outcome: 'done', result, account_id: account?.id };
    });
    await tick.settle(records, { close: true });
    sql.pass(1);
  }
  expect([sent.length, new Set(sent).size]).toEqual([350, 350]);
  expect((await click()).body.id).toBe(action.id);
  const proved = await proof(action.id);
  expect(proved).toMatchObject({ rows: 500, verdicts: { by_answer_alone: 350, not_sent: 150 } });
  expect(await proof(action.id, `?cursor=${proved.next}`)).toEqual({ rows: 0, verdicts: {}, next: null });
  const audit = await database.sql('select by, act, note from punctual.audit');
  expect(audit).toEqual([{ by: 'the API', act: 'retry', note: 'ticket 4711' }]);
});

describe('the steps of an action', () => {
  const addMany = async (n: number) => {
    for (let i = 0; i < n; i++) await failed();
  };

  it('run in ticks of the queue, 200 rows each, and their rows go out under the account’s pace', async () => {
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at)
       select $1, 'linkedin', 'c', 'b', 'failed', $2 from generate_series(1, 250)`,
      [account, sql.at(-60)],
    );
    const { body } = await start({ action: 'retry', filter: { status: 'failed' } });
    sql.pass(60);
    const first = sql.tick();
    expect((await first.claim()).rows).toHaveLength(1);
    expect((await read(body.id)).body).toMatchObject({ state: 'running', written: 200 });
    await first.close();
    await sql.tick().claim();
    expect((await read(body.id)).body).toMatchObject({ state: 'done', written: 250 });
  });

  it('end no tick by their errors: the action stops and says why, and due rows are claimed', async () => {
    const dead = await tasks.add({ due: sql.at(-10), status: 'dead', finished_at: sql.at(-60) });
    const due = await tasks.add({ due: sql.at(-10) });
    await database.sql(
      `create or replace function app.fail() returns trigger language plpgsql as $$ begin perform app.nowhere(); return new; end $$`,
    );
    await database.sql(
      `create trigger fail before update on app.tasks for each row when (new.id = ${dead}) execute function app.fail()`,
    );
    const { body } = await start({ action: 'retry', filter: { status: 'dead' } }, 'tasks');
    const { rows } = await sql.tick({ queue: 'tasks', partition: 'a' }).claim();
    expect(rows.map(({ id }) => id)).toEqual([due]);
    expect((await read(body.id)).body).toMatchObject({
      state: 'stopped',
      reason: expect.stringContaining('nowhere'),
    });
  });

  it('write rows as soon as the ids of all are taken, without a tick between', async () => {
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at)
       select $1, 'linkedin', 'c', 'b', 'failed', $2 from generate_series(1, 5000)`,
      [account, sql.at(-60)],
    );
    const { body } = await start({ action: 'retry', filter: { status: 'failed' } });
    // As with more than 20,000 rows. The first step reads 5,000, and the second finds no more.
    await database.sql(`update punctual.actions set state = 'collecting'`);
    let step = 0;
    await runAction(database.rpc, body.id, 4, () => step++);
    expect((await read(body.id)).body).toMatchObject({ state: 'running', total: 5_000, written: 200 });
  });

  it('wait after the first rows until a person continues', async () => {
    await addMany(3);
    const { body } = await start({ action: 'retry', filter: { status: 'failed' }, first: 1 });
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({ state: 'waiting', written: 1, now: { pending: 1 } });
    expect(await resume(body.id)).toMatchObject({ status: 200, body: { state: 'running' } });
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({ state: 'done', written: 3 });
    expect(await stop(body.id)).toMatchObject({ status: 409 });
  });

  it('stop when a person says so, and leave the other rows as they are', async () => {
    await addMany(2);
    const { body } = await start({ action: 'retry', filter: { status: 'failed' }, first: 1 });
    await runAction(database.rpc, body.id, 60_000);
    expect(await stop(body.id)).toMatchObject({
      status: 200,
      body: { state: 'stopped', reason: 'the API stopped it' },
    });
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({ state: 'stopped', written: 1, now: { pending: 1 } });
  });

  it('stop by themselves if ten rows failed in a row', async () => {
    await addMany(12);
    const { body } = await start({ action: 'retry', filter: { status: 'failed' }, first: 11 });
    await runAction(database.rpc, body.id, 60_000);
    await database.sql(`update punctual.dm_queue set status = 'failed' where status = 'pending'`);
    await resume(body.id);
    await database.sql(
      `update punctual.dm_queue set finished_at = now() + interval '1 minute' where status = 'failed'`,
    );
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({
      state: 'stopped',
      reason: 'ten of its rows failed in a row',
      written: 11,
    });
  });
});
