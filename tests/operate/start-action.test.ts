import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints } from '../../lib/api/actions.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';
import { rowActions } from '../support/row-actions.ts';

const { 'GET /actions': LIST } = endpoints;

const database = servedDatabase({}, { own: true });
const sql = perTestExchanges(database);
const { start, act, read, stop, resume, addFailed, row } = rowActions(database, sql);
let account: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount();
});

const failed = (more?: object) => addFailed(account, more);

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
    expect((await start({ action: 'retry', ids: [id] })).body).toMatchObject({ count: 0 });
    expect(await act({ action: 'retry', ids: [id], confirm: 'may_send_twice' })).toMatchObject({
      written: 1,
    });
    expect((await row(id)).status).toBe('pending');
  });

  it.each(['k', undefined])('records nothing if no row matches, and says why (key %s)', async (key) => {
    const { id } = await sql.addUnknown(account);
    await database.sql(`update punctual.dm_queue set status = 'failed' where id = $1`, [id]);
    const left = { may_have_been_sent: { count: 1, sample: [id] } };
    const body = { action: 'retry', filter: { status: 'failed' }, key };
    const nothing = { status: 200, body: { count: 0, more: false, sample: [], left } };
    expect(await start(body)).toEqual(nothing);
    expect(await start({ ...body, expect: 0 })).toEqual(nothing);
    expect((await start({ ...body, expect: 1 })).status).toBe(409);
    expect(await start({ ...body, ids: ['99'], filter: undefined })).toMatchObject({
      status: 200,
      body: { count: 0 },
    });
    expect(await database.sql('select from punctual.actions')).toEqual([]);
    expect(await database.sql('select from punctual.audit')).toEqual([]);
    await failed();
    expect(await start(body)).toMatchObject({ status: 202, body: { total: 1 } });
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

  it('counts a message that SQL made pending while it ran as one that may have been sent', async () => {
    const id = await sql.addDm(account, { send_at: sql.at(-10) });
    await sql.tick().claim();
    await database.sql(`update punctual.dm_queue set status = 'pending', send_at = now() + interval '1 day'`);
    await database.sql(`update punctual.dm_queue set status = 'cancelled'`);
    const preview = await start({ action: 'retry', filter: { status: 'cancelled' }, dry_run: true });
    expect(preview.body).toMatchObject({
      count: 0,
      left: { may_have_been_sent: { count: 1, sample: [id] } },
    });
  });

  it('leaves unknown and sent messages as they are', async () => {
    const { id } = await sql.addUnknown(account);
    const sent = await sql.addDm(account, { status: 'sent', finished_at: sql.at(-60) });
    const preview = await start({ action: 'retry', ids: [id, sent], confirm: 'may_send_twice' });
    expect(preview.body).toMatchObject({ count: 0, left: {} });
    expect(await start({ action: 'retry', filter: { status: ['unknown', 'sent'] } })).toMatchObject({
      status: 422,
      body: {
        error: { errors: [{ field: 'action', message: expect.stringContaining('failed, cancelled') }] },
      },
    });
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
    await resume(id);
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

  it('leaves rows that expire before the time that they would be moved to', async () => {
    const id = await sql.addDm(account, { send_at: sql.at(60), expires_at: sql.at(3_600) });
    const move = (due_at: string) => start({ action: 'reschedule', ids: [id], due_at, dry_run: true });
    expect((await move(sql.at(3_600))).body).toMatchObject({ count: 0, left: { expired: { count: 1 } } });
    expect((await move(sql.at(3_599))).body).toMatchObject({ count: 1, left: {} });
  });

  it('counts a row once that is named twice', async () => {
    const id = await failed();
    const body = { action: 'retry', ids: [id, `0${id}`, id] };
    expect((await start({ ...body, dry_run: true })).body).toMatchObject({ count: 1 });
    expect(await start({ ...body, expect: 1 })).toMatchObject({ status: 202, body: { total: 1 } });
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
    [{ action: 'cancel', ids: ['1'], first: 2 ** 31 }, 'first'],
    [{ action: 'cancel', ids: ['1'], expect: 2 ** 31 }, 'expect'],
    [{ action: 'reschedule', ids: ['1'], due_at: '0001-01-01T00:00:00+14:00' }, 'due_at'],
    [{ action: 'retry', filter: { status: 'nope' } }, 'filter.status'],
    [{ action: 'retry', filter: { partition: 'a' } }, 'partition'],
  ])('refuses %j', async (body, field) => {
    expect(await start(body)).toMatchObject({ status: 422, body: { error: { errors: [{ field }] } } });
  });

  it('stops and continues only if the body is empty, because it takes no field', async () => {
    await failed();
    const { body } = await start({ action: 'retry', filter: { status: 'failed' } });
    for (const steer of [stop, resume])
      expect(await steer(body.id, { note: 'why' })).toMatchObject({
        status: 422,
        body: { error: { errors: [{ field: 'note' }] } },
      });
    expect((await read(body.id)).body).toMatchObject({ state: 'running' });
  });

  it('answers 404 to an unknown queue, and takes no request of another site', async () => {
    expect(await start({ action: 'retry', ids: ['1'] }, 'nope')).toMatchObject({ status: 404 });
  });
});

it('actions are listed, the latest first', async () => {
  await failed();
  const one = await act({ action: 'retry', filter: { status: 'failed' } });
  await failed();
  const two = await act({ action: 'retry', filter: { status: 'failed' } });
  const ids = async (path: string) =>
    (await answered(LIST(apiRequest('GET', path)))).body.actions.map(({ id }: { id: string }) => id);
  expect(await ids('/api/actions')).toEqual([two.id, one.id]);
  expect(await ids('/api/actions?limit=1')).toEqual([two.id]);
  expect(await ids('/api/actions?queue=jobs')).toEqual([]);
  expect((await read('999')).status).toBe(404);
});
