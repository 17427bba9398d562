import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as queuesApi } from '../../lib/api/queues.ts';
import { answered, apiRequest, cookie, viewerCookie, withKey } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

const {
  'POST /queues/:queue/pause': PAUSE,
  'POST /queues/:queue/resume': RESUME,
  'GET /queues/:queue': GET_ONE,
  'PATCH /queues/:queue': PATCH,
  'POST /queues/:queue/run': RUN,
  'GET /queues': GET,
} = queuesApi;

const database = servedDatabase();

const mira = { ...cookie('Mira'), origin: 'http://app.test' };
type Route = (request: Request, context: { params: Promise<{ queue: string }> }) => Promise<Response>;
const call = (
  route: Route,
  method: string,
  {
    queue = 'jobs',
    query = '',
    body,
    headers = mira,
  }: { queue?: string; query?: string; body?: unknown; headers?: Record<string, string> } = {},
) =>
  answered(
    route(
      apiRequest(
        method,
        `/api/queues/${queue}${suffixes.get(route) ?? ''}${query}`,
        headers,
        body === undefined ? undefined : JSON.stringify(body),
      ),
      {
        params: Promise.resolve({ queue }),
      },
    ),
  );
const suffixes = new Map<unknown, string>([
  [PAUSE, '/pause'],
  [RESUME, '/resume'],
  [RUN, '/run'],
]);
const read = async (queue = 'jobs') => (await call(GET_ONE, 'GET', { queue })).body;
const change = (body: unknown, query = '', queue = 'jobs') =>
  call(PATCH as Route, 'PATCH', { body, query, queue });
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

describe('GET /api/queues', () => {
  it('lists the queues with their settings and pauses', async () => {
    const { body } = await answered(GET(apiRequest('GET', '/api/queues')));
    expect(body.queues.map(({ name }: { name: string }) => name)).toEqual([
      'dm_queue',
      'enrolments',
      'jobs',
      'monitors',
      'posts',
    ]);
    expect(body.queues[0]).toEqual({
      name: 'dm_queue',
      delivery: 'at-most-once',
      settings: expect.objectContaining({ batch_limit: 30, concurrency: 5, retention_days: 30 }),
      ...{ paused_at: null, paused_until: null, paused_reason: null },
    });
  });

  it('returns one with its partitions and the last ten acts on it', async () => {
    for (let n = 1; n <= 11; n++) await change({ concurrency: n + 5 });
    await change({ concurrency: 9 }, '', 'posts');
    const { name, partitions, acts } = await read();
    expect(name).toBe('jobs');
    expect(partitions).toMatchObject([
      { name: 'blocking', settings: { max_running: 1 } },
      { name: 'default', settings: { max_running: null, concurrency: null } },
    ]);
    expect(acts).toHaveLength(10);
    expect(acts[0]).toMatchObject({
      by: 'Mira',
      act: 'change_settings',
      details: { after: { concurrency: 16 } },
    });
  });

  it('returns 404 for a queue that does not exist', async () => {
    for (const queue of ['nothing', 'No Queue'])
      for (const [route, method] of [
        [GET_ONE, 'GET'],
        [PATCH, 'PATCH'],
        [PAUSE, 'POST'],
        [RESUME, 'POST'],
        [RUN, 'POST'],
      ] as const) {
        const body = {
          PATCH: { concurrency: 1 },
          POST: route === PAUSE ? { reason: 'x' } : undefined,
          GET: undefined,
        }[method];
        expect([queue, method, (await call(route as Route, method, { queue, body })).status]).toEqual([
          queue,
          method,
          404,
        ]);
      }
  });
});

describe('PATCH /api/queues/:queue', () => {
  it('changes the queue, or the partition that the query names', async () => {
    expect(await change({ batch_limit: null, note: 'backlog' })).toMatchObject({
      status: 200,
      body: { queue: 'jobs', partition: null, settings: { batch_limit: null, concurrency: 5 } },
    });
    expect(await change({ max_running: 2 }, '?partition=default')).toMatchObject({
      status: 200,
      body: { queue: 'jobs', partition: 'default', settings: { max_running: 2, concurrency: null } },
    });
    expect((await change({ max_running: 2 }, '?partition=nothing')).status).toBe(404);
    expect((await read()).acts).toMatchObject([
      { target: 'default', details: { after: { max_running: 2 } } },
      { target: null, note: 'backlog' },
    ]);
  });

  it.each<[body: unknown, field: string, query?: string]>([
    [{}, ''],
    [{ note: 'backlog' }, ''],
    [{ concurrency: 0 }, 'concurrency'],
    [{ concurrency: 2_147_483_648 }, 'concurrency'],
    [{ adaptive: 'yes' }, 'adaptive'],
    [{ speed: 3 }, 'speed'],
    [{ max_running: 2 }, 'max_running'],
    [{ retention_days: 3 }, 'retention_days', '?partition=default'],
    [{ backoff_base_seconds: 4_000 }, 'backoff_cap_seconds'],
  ])('refuses %j in words', async (body, field, query) => {
    expect(await change(body, query)).toMatchObject({
      status: 422,
      body: { error: { message: 'nothing was changed', errors: [{ field }] } },
    });
  });
});

describe('a pause', () => {
  it('is set with a reason and an end, and lifted', async () => {
    const until = inAnHour();
    const paused = await call(PAUSE, 'POST', { body: { reason: 'holiday', until } });
    expect(paused).toMatchObject({
      status: 200,
      body: { paused_reason: 'holiday', paused_at: expect.any(String) },
    });
    expect(Date.parse(paused.body.paused_until)).toBe(Date.parse(until));
    expect(await call(RESUME, 'POST')).toMatchObject({ status: 200, body: { paused_at: null } });
    expect((await read()).acts.map(({ act, by }: Record<string, string>) => [act, by])).toEqual([
      ['resume_queue', 'Mira'],
      ['pause_queue', 'Mira'],
    ]);
  });

  it('of a partition leaves the queue as it is', async () => {
    expect((await call(PAUSE, 'POST', { body: { reason: 'moving', partition: 'default' } })).status).toBe(
      200,
    );
    expect(await read()).toMatchObject({
      paused_at: null,
      partitions: [{ paused_at: null }, { paused_reason: 'moving', paused_until: null }],
    });
    expect((await call(RESUME, 'POST', { body: { partition: 'default' } })).body.paused_at).toBeNull();
    expect((await call(PAUSE, 'POST', { body: { reason: 'moving', partition: 'x' } })).status).toBe(404);
  });

  it.each<[body: object, field: string]>([
    [{}, 'reason'],
    [{ reason: ' ' }, 'reason'],
    [{ reason: 'x', until: '2020-01-01T00:00:00Z' }, 'until'],
    [{ reason: 'x', until: 'tomorrow' }, 'until'],
    [{ reason: 'x', for: 3 }, 'for'],
  ])('is refused as %j', async (body, field) => {
    expect(await call(PAUSE, 'POST', { body })).toMatchObject({
      status: 422,
      body: { error: { errors: [{ field }] } },
    });
  });
});

describe('POST /api/queues/:queue/run', () => {
  beforeEach(async () => {
    await database.sql(`insert into punctual.jobs (name) values ('nothing-does-this')`);
  });

  it('runs one tick of each partition with due rows in this request, and records who asked', async () => {
    const { status, body } = await call(RUN, 'POST');
    expect([status, body.left]).toEqual([200, []]);
    expect(body.reports).toMatchObject([
      { queue: 'jobs', scheduler: 'api', outcome: 'ran', counts: { claimed: 1 } },
    ]);
    expect(await database.sql('select scheduler, path, claimed from punctual.ticks')).toEqual([
      { scheduler: 'api', path: '/api/queues/jobs/run', claimed: 1 },
    ]);
    expect((await read()).acts).toMatchObject([{ act: 'run_queue', by: 'Mira', target: null }]);
  });

  it('obeys a pause', async () => {
    await call(PAUSE, 'POST', { body: { reason: 'holiday' } });
    expect((await call(RUN, 'POST', { query: '?partition=default' })).body.reports).toMatchObject([
      { outcome: 'paused', counts: { claimed: 0 } },
    ]);
  });

  it('ticks a queue with one partition or with regions, and takes the name of paths', async () => {
    expect(await call(RUN, 'POST', { queue: 'monitors', query: '?partition=main' })).toMatchObject({
      status: 200,
      body: { queue: 'monitors', partition: 'main', outcome: 'idle' },
    });
    expect(await call(RUN, 'POST', { queue: 'enrolments' })).toMatchObject({
      status: 200,
      body: { outcome: 'idle' },
    });
    expect(await call(RUN, 'POST', { queue: 'dm-queue' })).toMatchObject({
      status: 503,
      body: { error: { kind: 'not_configured' } },
    });
  });

  it('returns 404 for a partition that does not exist', async () => {
    for (const queue of ['jobs', 'monitors', 'enrolments'])
      expect((await call(RUN, 'POST', { queue, query: '?partition=nothing' })).status).toBe(404);
  });

  it('is refused to a viewer, and to CRON_SECRET', async () => {
    const viewer = { ...viewerCookie(), origin: 'http://app.test' };
    expect((await call(RUN, 'POST', { headers: viewer })).status).toBe(403);
    expect((await call(RUN, 'POST', { headers: {} })).status).toBe(401);
    expect((await call(RUN, 'POST', { headers: withKey })).status).toBe(200);
  });
});
