import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as actionsApi } from '../../lib/api/actions.ts';
import { runAction } from '../../lib/operate/rows/actions.ts';
import { startActionRoute, steerActionRoute } from '../../lib/operate/rows/actions-route.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { attempt } from '../support/attempt.ts';
import { conversations } from '../support/conversations.ts';
import { perTest, perTestExchanges, servedDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';

const {
  'GET /actions/:id/proof': PROVE,
  'GET /actions/:id': READ,
  'POST /actions/:id/stop': STOP,
  'GET /actions': LIST,
} = actionsApi;

const database = servedDatabase({}, { own: true });
const sql = perTestExchanges(database);
const tasks = perTest(() => makeTasks(database));
let account: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount();
});

/** The tests run the steps themselves, which the app's routes leave to `after`. */
const START = startActionRoute;
const CONTINUE = steerActionRoute('continue', '');
const start = (body: object, queue = 'dm_queue') =>
  answered(
    START(apiRequest('POST', '/api/x', undefined, JSON.stringify(body)), {
      params: Promise.resolve({ queue }),
    }),
  );
const of = (id: string) => ({ params: Promise.resolve({ id }) });
const steer = (route: typeof STOP, id: string) => answered(route(apiRequest('POST', '/api/x'), of(id)));
const read = (id: string) => answered(READ(apiRequest('GET', '/api/x'), of(id)));
/** Starts an action and runs all of its steps. Returns it as it is then. */
async function act(body: object, queue = 'dm_queue') {
  const { status, body: action } = await start(body, queue);
  expect([status, action]).toMatchObject([202, { queue }]);
  await runAction(database.rpc, action.id, 60_000);
  return (await read(action.id)).body;
}
const proof = async (id: string) => (await answered(PROVE(apiRequest('GET', '/api/x'), of(id)))).body;
const failed = (more: object = {}) =>
  sql.addDm(account, {
    status: 'failed',
    attempts: 5,
    last_error: 'no such person',
    finished_at: sql.at(-60),
    ...more,
  });
const row = async (id: string) =>
  (await database.sql('select * from punctual.dm_queue where id = $1', [id]))[0];
const history = async (id: string) =>
  (await database.sql(`select event, text from punctual.history where row_id = $1 order by id`, [id])) as {
    event: string;
    text: string;
  }[];

describe('POST /api/queues/:queue/actions', () => {
  it('says first what it would do, and changes nothing', async () => {
    const ids = [await failed(), await failed({ finished_at: sql.at(-61) })];
    await sql.addDm(account, { status: 'sent', finished_at: sql.at(-60) });
    const { status, body } = await start({ action: 'retry', filter: { status: 'failed' }, dry_run: true });
    expect([status, body]).toMatchObject([200, { count: 2, more: false, left: {} }]);
    expect(body.sample.map(({ id }: { id: string }) => id)).toEqual(ids);
    expect(await database.sql('select from punctual.actions')).toEqual([]);
    expect(await row(ids[0] ?? '')).toMatchObject({ status: 'failed' });
  });

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

  it('never retries a message that may have been sent, unless that is confirmed', async () => {
    const { id } = await sql.addUnknown(account);
    await database.sql(`update punctual.dm_queue set status = 'failed' where id = $1`, [id]);
    const clear = await failed();
    const filter = { status: 'failed' };
    const preview = await start({ action: 'retry', filter, dry_run: true });
    expect(preview.body).toMatchObject({
      count: 1,
      left: { may_have_been_sent: { count: 1, sample: [id] } },
    });
    expect(await act({ action: 'retry', filter })).toMatchObject({ total: 1, now: { pending: 1 } });
    expect([(await row(clear)).status, (await row(id)).status]).toEqual(['pending', 'failed']);
    expect(await act({ action: 'retry', ids: [id] })).toMatchObject({ total: 0, state: 'done' });
    expect(await act({ action: 'retry', ids: [id], confirm: 'may_send_twice' })).toMatchObject({
      written: 1,
    });
    expect((await row(id)).status).toBe('pending');
  });

  it('counts a message that was settled by SQL while it ran as one that may have been sent', async () => {
    const id = await sql.addDm(account, { send_at: sql.at(-10) });
    await sql.tick().claim();
    await database.sql(`update punctual.dm_queue set status = 'failed', last_error = 'given up'`);
    const preview = await start({ action: 'retry', filter: { status: 'failed' }, dry_run: true });
    expect(preview.body).toMatchObject({
      count: 0,
      left: { may_have_been_sent: { count: 1, sample: [id] } },
    });
  });

  it('leaves unknown and sent messages as they are', async () => {
    const { id } = await sql.addUnknown(account);
    const sent = await sql.addDm(account, { status: 'sent', finished_at: sql.at(-60) });
    expect(await act({ action: 'retry', ids: [id, sent], confirm: 'may_send_twice' })).toMatchObject({
      total: 0,
    });
    expect(await start({ action: 'retry', filter: { status: ['unknown', 'sent'] } })).toMatchObject({
      status: 422,
      body: {
        error: { errors: [{ field: 'action', message: expect.stringContaining('failed, cancelled') }] },
      },
    });
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
      written: 1,
      skipped: 1,
      skips: [{ reason: 'changed', count: 1 }],
    });
    expect([(await row(one)).status, (await row(two)).status, (await row(late)).status]).toEqual([
      'pending',
      'sending',
      'failed',
    ]);
  });

  it('does not take a row that failed after the action was asked for', async () => {
    await failed();
    await failed({ finished_at: new Date(Date.now() + 60_000).toISOString() });
    expect((await start({ action: 'retry', filter: { status: 'failed' } })).body).toMatchObject({ total: 1 });
  });

  it('answers a repeated key with the same action, and another request under it with 409', async () => {
    await failed();
    const body = { action: 'retry', filter: { status: 'failed' }, key: 'k' };
    const first = await start(body);
    expect(await start(body)).toMatchObject({ status: 202, body: { id: first.body.id, total: 1 } });
    expect(await start({ ...body, action: 'delete' })).toMatchObject({ status: 409 });
    expect(await database.sql('select count(*)::integer as n from punctual.actions')).toEqual([{ n: 1 }]);
  });

  it('answers a repeated key with the same action also after a person continued it', async () => {
    await failed();
    await failed();
    const body = { action: 'retry', filter: { status: 'failed' }, key: 'k', first: 1 };
    const { id } = await act(body);
    await steer(CONTINUE, id);
    expect(await start(body)).toMatchObject({ status: 202, body: { id } });
  });

  it('changes nothing if another number of rows matches than the caller saw', async () => {
    const id = await failed();
    const refused = await start({ action: 'retry', filter: { status: 'failed' }, expect: 2 });
    expect(refused).toMatchObject({
      status: 409,
      body: { error: { message: expect.stringContaining('1 rows match now, and not 2') } },
    });
    expect(await database.sql('select from punctual.actions')).toEqual([]);
    expect(await row(id)).toMatchObject({ status: 'failed' });
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
    expect(await act({ action: 'retry_now', ids: [two] })).toMatchObject({ total: 0 });
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
    expect(await act({ action: 'delete', ids: [id] }, 'tasks')).toMatchObject({ total: 0 });
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
    expect(await act({ action: 'retry', filter })).toMatchObject({
      written: 0,
      skips: [{ reason: 'changed', count: 1 }],
    });
    sql.pass(60);
    expect(await talk.sendStep()).toHaveLength(1);
    expect(await attempt(sql)).toBeNull();
  });

  it.each([
    [{ action: 'retry' }, 'filter'],
    [{ action: 'retry', filter: {} }, 'filter'],
    [{ action: 'retry', filter: { status: 'failed' }, ids: ['1'] }, 'filter'],
    [{ action: 'explode', ids: ['1'] }, 'action'],
    [{ action: 'reschedule', ids: ['1'] }, 'due_at'],
    [{ action: 'cancel', ids: ['1'], priority: 1 }, 'priority'],
    [{ action: 'prioritise', ids: ['1'], priority: 4 }, 'priority'],
    [{ action: 'cancel', ids: ['1'], confirm: 'may_send_twice' }, 'confirm'],
    [{ action: 'retry', filter: { status: 'nope' } }, 'filter.status'],
    [{ action: 'retry', filter: { partition: 'a' } }, 'partition'],
  ])('refuses %j', async (body, field) => {
    expect(await start(body)).toMatchObject({ status: 422, body: { error: { errors: [{ field }] } } });
  });

  it('answers 404 to an unknown queue, and takes no request of another site', async () => {
    expect(await start({ action: 'retry', ids: ['1'] }, 'nope')).toMatchObject({ status: 404 });
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
  expect(await proof(action.id)).toMatchObject({
    rows: 500,
    verdicts: { by_answer_alone: 350, not_sent: 150 },
  });
  const audit = await database.sql('select by, act, note from punctual.audit');
  expect(audit).toEqual([{ by: 'the API', act: 'retry', note: 'ticket 4711' }]);
});

describe('the steps of an action', () => {
  const addFailed = async (n: number) => {
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

  it('wait after the first rows until a person continues', async () => {
    await addFailed(3);
    const { body } = await start({ action: 'retry', filter: { status: 'failed' }, first: 1 });
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({ state: 'waiting', written: 1, now: { pending: 1 } });
    expect(await steer(CONTINUE, body.id)).toMatchObject({ status: 200, body: { state: 'running' } });
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({ state: 'done', written: 3 });
    expect(await steer(STOP, body.id)).toMatchObject({ status: 409 });
  });

  it('stop when a person says so, and leave the other rows as they are', async () => {
    await addFailed(2);
    const { body } = await start({ action: 'retry', filter: { status: 'failed' }, first: 1 });
    await runAction(database.rpc, body.id, 60_000);
    expect(await steer(STOP, body.id)).toMatchObject({
      status: 200,
      body: { state: 'stopped', reason: 'the API stopped it' },
    });
    await runAction(database.rpc, body.id, 60_000);
    expect((await read(body.id)).body).toMatchObject({ state: 'stopped', written: 1, now: { pending: 1 } });
  });

  it('stop by themselves if ten rows failed in a row', async () => {
    await addFailed(12);
    const { body } = await start({ action: 'retry', filter: { status: 'failed' }, first: 11 });
    await runAction(database.rpc, body.id, 60_000);
    await database.sql(`update punctual.dm_queue set status = 'failed' where status = 'pending'`);
    await steer(CONTINUE, body.id);
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

  it('are listed, the latest first', async () => {
    await addFailed(1);
    const one = await act({ action: 'retry', filter: { status: 'failed' } });
    const two = await act({ action: 'retry', filter: { status: 'failed' } });
    const ids = async (path: string) =>
      (await answered(LIST(apiRequest('GET', path)))).body.actions.map(({ id }: { id: string }) => id);
    expect(await ids('/api/actions')).toEqual([two.id, one.id]);
    expect(await ids('/api/actions?limit=1')).toEqual([two.id]);
    expect(await ids('/api/actions?queue=jobs')).toEqual([]);
    expect((await read('999')).status).toBe(404);
  });
});
