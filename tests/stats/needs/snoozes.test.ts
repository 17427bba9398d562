import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints } from '../../../lib/api/stats.ts';
import { listAudit } from '../../../lib/operate/audit.ts';
import { getServices } from '../../../lib/services/services.ts';
import type { Need } from '../../../lib/stats/needs/need.ts';
import { applySnoozes, endSnoozes, type ListedNeed, listSnoozes } from '../../../lib/stats/needs/snoozes.ts';
import { answered, apiRequest, cookie, viewerCookie } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';

const { 'GET /needs': GET, 'POST /needs/:key/snooze': POST, 'DELETE /needs/:key/snooze': DELETE } = endpoints;
const database = servedDatabase();

const mira = { ...cookie('Mira'), origin: 'http://app.test' };
const key = 'jobs.failed';
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

/** Fails jobs by SQL, so that no error group explains them. */
const fail = async (count: number) => {
  await database.sql(
    `insert into punctual.jobs (name, run_at, status, finished_at, last_error)
     select 'a', now(), 'failed', now(), 'e' from generate_series(1, $1::integer)`,
    [count],
  );
  (await getServices()).stats.forget();
};
const needs = async (): Promise<ListedNeed[]> =>
  (await answered(GET(apiRequest('GET', '/api/needs', mira)))).body.needs;
const line = async () => (await needs()).find((need) => need.key === key);
const call = (
  method: 'POST' | 'DELETE',
  { body = { until: inAnHour() } as object, headers = mira, of = key } = {},
) =>
  answered(
    (method === 'POST' ? POST : DELETE)(
      apiRequest(
        method,
        `/api/needs/${of}/snooze`,
        headers,
        method === 'POST' ? JSON.stringify(body) : undefined,
      ),
      { params: Promise.resolve({ key: of }) },
    ),
  );
const acts = async () =>
  (await listAudit(database.rpc, { limit: 50 })).items.map(({ by, act, queue, target }) => [
    by,
    act,
    queue,
    target,
  ]);

describe('a snooze', () => {
  beforeEach(() => fail(2));

  it('puts a line off with a name until a time, and is recorded', async () => {
    const until = inAnHour();
    const { status, body } = await call('POST', { body: { until } });
    expect([status, body]).toEqual([
      200,
      { key, until: expect.any(String), count: 2, parts: [], name: 'Mira', at: expect.any(String) },
    ]);
    expect(Date.parse(body.until)).toBe(Date.parse(until));
    expect(await line()).toMatchObject({ count: 2, snoozed: { name: 'Mira' } });
    expect(await acts()).toEqual([['Mira', 'snooze_need', 'jobs', key]]);
  });

  it('ends when somebody wakes the line', async () => {
    await call('POST');
    expect(await call('DELETE')).toMatchObject({ status: 200, body: { key } });
    expect(await line()).toMatchObject({ snoozed: null });
    // A second time it does nothing.
    expect(await call('DELETE')).toMatchObject({ status: 200 });
    expect((await acts()).map(([, act]) => act)).toEqual(['wake_need', 'snooze_need']);
  });

  it('is over at its end', async () => {
    await call('POST');
    expect(await database.rpc('list_snoozes', { p_now: new Date(Date.now() + 3_601_000) })).toEqual([]);
    expect(await listSnoozes(database.rpc)).toHaveLength(1);
  });

  it('lasts while the line grows by half, and ends for good when it grows by more', async () => {
    await call('POST');
    await fail(1);
    expect(await line()).toMatchObject({ count: 3, snoozed: { count: 2 } });
    await fail(1);
    expect(await line()).toMatchObject({ count: 4, snoozed: null });
    await database.sql(`delete from punctual.jobs where id > 1`);
    (await getServices()).stats.forget();
    expect(await line()).toMatchObject({ count: 1, snoozed: null });
  });

  it('is not ended by a page that was read before it', async () => {
    await call('POST');
    const before = await listSnoozes(database.rpc);
    await call('POST');
    await endSnoozes(database.rpc, before);
    expect(await listSnoozes(database.rpc)).toHaveLength(1);
  });

  it.each([
    ['in the past', () => new Date(Date.now() - 1_000).toISOString()],
    ['more than 31 days away', () => new Date(Date.now() + 32 * 86_400_000).toISOString()],
    ['no instant', () => 'tomorrow'],
  ])('is refused with an end that is %s', async (_case, until) => {
    const { status, body } = await call('POST', { body: { until: until() } });
    expect([status, body.error.errors[0].field]).toEqual([422, 'until']);
    expect(await acts()).toEqual([]);
  });

  it('is refused for a line that is not there, and to a viewer', async () => {
    expect((await call('POST', { of: 'jobs.paused' })).status).toBe(404);
    expect((await call('DELETE', { of: 'a\u0000b' })).status).toBe(404);
    const viewer = { ...viewerCookie(), origin: 'http://app.test' };
    expect((await call('POST', { headers: viewer })).status).toBe(403);
    expect((await call('DELETE', { headers: viewer })).status).toBe(403);
    expect(await acts()).toEqual([]);
  });
});

describe('the snooze of a line about several things', () => {
  const need = (count: number, parts: string[]): Need => ({
    ...{
      key: 'incidents',
      tone: 'bad',
      queue: null,
      text: 't',
      count,
      parts,
      href: '/',
      act: 'Look',
      page: '/',
    },
  });
  const snooze = {
    key: 'incidents',
    until: inAnHour(),
    count: 4,
    parts: ['1', '2'],
    name: 'Mira',
    at: inAnHour(),
  };
  const isShown = (of: Need) => applySnoozes([of], [snooze]).worse.length === 1;

  it('ends with a new one among them, though they are not more', () => {
    expect(isShown(need(2, ['1', '3']))).toBe(true);
    expect(isShown(need(2, ['1']))).toBe(false);
  });

  it('ends at more than one and a half of its count', () => {
    expect(isShown(need(6, ['1', '2']))).toBe(false);
    expect(isShown(need(7, ['1', '2']))).toBe(true);
  });
});
