import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET, POST } from '../../../app/api/cron/process-scheduled/route.ts';
import type { CronCall } from '../../../lib/cron/cron-call.ts';
import { scheduledHandler } from '../../../lib/cron/handlers/scheduled-handler.ts';
import { systemClock } from '../../../lib/engine/ports/clock.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { defineQueue } from '../../../lib/engine/queue.ts';
import { jobs } from '../../../lib/queues/jobs/queue.ts';
import { scheduledQueues } from '../../../lib/queues/scheduled-queues.ts';
import { getServices, type Services } from '../../../lib/services/services.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { type Sandbox, startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../sandbox/shapes/unipile-shape.ts';
import {
  apiRequest,
  bearer,
  CRON_SECRET,
  openServedDatabase,
  stubSecrets,
} from '../../support/api-server.ts';
import type { TestDatabase } from '../../support/test-database.ts';
import { VirtualClock } from '../../support/virtual-clock.ts';

let sandbox: Sandbox;
let database: TestDatabase;

beforeAll(async () => {
  sandbox = await startSandbox();
  database = await openServedDatabase(
    { UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY },
    { own: true },
  );
});
afterAll(async () => {
  await database.close();
  await sandbox.close();
});
beforeEach(async () => {
  stubSecrets();
  await database.reset();
});
afterEach(() => vi.unstubAllEnvs());

async function processScheduled() {
  const response = await GET(apiRequest('GET', '/api/cron/process-scheduled', bearer(CRON_SECRET)));
  return { status: response.status, body: await response.json() };
}

const addJobs = (queue: string, count: number) =>
  database.sql(
    `with p as (insert into punctual.partitions (queue, partition) values ('jobs', $1) on conflict do nothing)
     insert into punctual.jobs (name, payload, queue) select 'count-words', '{"text": "a b"}', $1 from generate_series(1, $2::integer)`,
    [queue, count],
  );

async function addDm() {
  const [account] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'ann', 'Ann') returning id`,
  );
  await database.sql(
    `insert into punctual.dm_queue (account_id, channel, recipient, body) values ($1, 'linkedin', 'bob', 'hello')`,
    [account?.id],
  );
}

describe('a call of /api/cron/process-scheduled', () => {
  it('ticks every queue, and each partition that has due rows', async () => {
    await addDm();
    await addJobs('default', 3);
    await addJobs('reports', 2);
    const { status, body } = await processScheduled();
    expect(status).toBe(200);
    const ticked = body.reports.map((r: { queue: string; partition: string }) => `${r.queue}:${r.partition}`);
    expect(ticked.sort()).toEqual([
      'dm_queue:main',
      'enrolments:main',
      'jobs:default',
      'jobs:reports',
      'monitors:main',
      'posts:main',
    ]);
    expect(body.left).toEqual([]);
    expect(body.notConfigured).toEqual([]);
    expect(await database.sql(`select status, count(*)::integer as n from punctual.jobs group by 1`)).toEqual(
      [{ status: 'done', n: 5 }],
    );
    expect(await database.sql('select status from punctual.dm_queue')).toEqual([{ status: 'sent' }]);
    const paths = await database.sql('select distinct path from punctual.ticks');
    expect(paths).toEqual([{ path: '/api/cron/process-scheduled' }]);
    // All ticks of a call share its run id.
    expect(await database.sql('select distinct run_id from punctual.ticks')).toHaveLength(1);
  });

  it('leaves queues whose continuations are used up or switched off to the next slot', async () => {
    await addJobs('default', 2);
    await database.sql(`update punctual.queues set max_continuations = 0 where name <> 'jobs'`);
    const continuation = { 'x-punctual-continuation': '1', 'x-punctual-run-id': crypto.randomUUID() };
    const request = apiRequest('POST', '/api/cron/process-scheduled', {
      ...bearer(CRON_SECRET),
      ...continuation,
    });
    const { reports } = await (await POST(request)).json();
    expect(reports).toMatchObject([{ queue: 'jobs', continuation: 1, counts: { done: 2 } }]);
  });

  it('rolls up and prunes once per UTC day, not at every call', async () => {
    const first = await processScheduled();
    expect(first.body.maintenance).toMatchObject({ rolledUp: { more: false }, pruned: { more: false } });
    expect((await processScheduled()).body.maintenance).toBeNull();
    await database.sql('update punctual.settings set maintenance_done_on = maintenance_done_on - 1');
    expect((await processScheduled()).body.maintenance).not.toBeNull();
  });

  it('ticks the other queues if one cannot run, and reports its fault', async () => {
    await addJobs('default', 1);
    await database.sql(`update punctual.queues set delivery = 'at-least-once' where name = 'posts'`);
    const { status, body } = await processScheduled();
    expect(status).toBe(503);
    expect(body.error.message).toContain('posts is at-most-once in the code');
    expect(await database.sql('select status from punctual.jobs')).toEqual([{ status: 'done' }]);
  });
});

describe('a queue with an invalid definition', () => {
  it('does not stop the ticks of other queues, and is reported', async () => {
    await addJobs('default', 1);
    const odd = defineQueue({ ...jobs, name: 'odd', timeoutMs: 60_000 });
    const queues = [{ queue: odd, partitions: 'main' as const }, ...scheduledQueues];
    const call = { path: '/x', params: new URLSearchParams(), scheduler: 'test', slot: null, schedule: null };
    const { reports, fault } = await scheduledHandler(queues)(await getServices(), {
      ...call,
      continuation: 0,
      runId: crypto.randomUUID(),
      startedAt: systemClock.now(),
      maxDuration: 60,
    });
    expect(reports.map(({ queue }) => queue)).toContain('jobs');
    expect(await database.sql('select status from punctual.jobs')).toEqual([{ status: 'done' }]);
    expect(fault).toMatchObject({ name: 'NotConfiguredError', message: expect.stringContaining('43000 ms') });
  });
});

describe('the budget of one call', () => {
  it('goes to every queue in turn, so that none waits behind all partitions of another', async () => {
    await database.sql(
      `update punctual.queues set batch_limit = null, concurrency = 2, timeout_seconds = 43 where name = 'jobs'`,
    );
    // A job may take the whole call, so there is time for 16 partitions and no more.
    for (let n = 0; n < 20; n++) await addJobs(`part-${String(n).padStart(2, '0')}`, 20);
    await database.sql(`update punctual.jobs set run_at = '2026-03-01T00:00:00Z'`);
    await database.sql(
      `insert into punctual.monitors (name, url, next_check_at) values ('Shop', 'https://shop.test/', '2026-03-01')`,
    );
    const { body } = await callWithSlowJobs({
      timeoutMs: 43_000,
      rowMs: 30_000,
      queues: ['jobs', 'monitors'],
    });
    expect(body.reports.map(({ queue }) => queue)).toContain('monitors');
    expect(body.left.length).toBeGreaterThan(0);
  });

  it('reports a partition whose timeout can never fit, and ticks the others', async () => {
    await addJobs('default', 1);
    await addJobs('long', 1);
    await database.sql(`update punctual.jobs set run_at = '2026-03-01T00:00:00Z'`);
    await database.sql(`update punctual.partitions set timeout_seconds = 45 where partition = 'long'`);
    const { body, fault } = await callWithSlowJobs({ timeoutMs: 43_000 });
    expect(body.left).toEqual([]);
    expect(String(fault)).toContain('timeout of 45 s does not fit into a tick of 60 s');
    expect(body.reports).toMatchObject([{ partition: 'default', counts: { done: 1 } }]);
  });

  /** Makes a call under a virtual clock, in which every job takes `rowMs`. */
  async function callWithSlowJobs({ timeoutMs = 5_000, rowMs = 4_000, queues: names = ['jobs'] } = {}) {
    const clock = new VirtualClock();
    const shared: Services = { ...(await getServices()), log: silentLog };
    const slow = {
      ...jobs,
      timeoutMs,
      async perform() {
        await new Promise<void>((resolve) => void clock.timer(rowMs, resolve));
        return { kind: 'done' as const };
      },
    };
    const rpc: Services['rpc'] = (fn, args) => clock.busy(database.rpc(fn, args));
    shared.rpc = rpc;
    shared.ports = { ...shared.ports, store: queueStore(rpc, clock.date), clock, log: silentLog, lock: null };
    const queues = scheduledQueues.map((one) => (one.queue === jobs ? { ...one, queue: slow } : one));
    const startedAt = clock.now();
    const call: CronCall = {
      path: '/api/cron/process-scheduled',
      params: new URLSearchParams(),
      scheduler: 'test',
      slot: null,
      schedule: null,
      continuation: 0,
      runId: crypto.randomUUID(),
      startedAt,
      maxDuration: 60,
    };
    const { body, fault } = await clock.run(
      scheduledHandler(queues.filter(({ queue }) => names.includes(queue.name)))(shared, call),
    );
    return {
      body: body as {
        reports: { queue: string; partition: string; counts: { done: number } }[];
        left: string[];
      },
      fault,
      usedMs: clock.now() - startedAt,
    };
  }

  it('is shared: each of 40 partitions with long backlogs gets its turn, and the call ends in time', async () => {
    await database.sql(`update punctual.queues set batch_limit = null, concurrency = 2 where name = 'jobs'`);
    for (let n = 0; n < 40; n++) await addJobs(`part-${String(n).padStart(2, '0')}`, 30);
    await database.sql(`update punctual.jobs set run_at = '2026-03-01T00:00:00Z'`);
    const { body, usedMs } = await callWithSlowJobs();
    expect(body.left).toEqual([]);
    expect(body.reports).toHaveLength(40);
    for (const { partition, counts } of body.reports) {
      expect(counts.done, partition).toBeGreaterThanOrEqual(4);
      expect(counts.done, partition).toBeLessThan(30);
    }
    expect(usedMs).toBeLessThanOrEqual(46_000);
  });
});

// Runs last, because it leaves no served database behind.
describe('without providers', () => {
  it('skips the queues that are not configured, and names them', async () => {
    const alone = await openServedDatabase();
    try {
      await alone.sql(`insert into punctual.jobs (name, payload) values ('count-words', '{"text": "a"}')`);
      const { body } = await processScheduled();
      expect(body.notConfigured).toEqual(['dm_queue', 'posts']);
      expect(await alone.sql('select status from punctual.jobs')).toEqual([{ status: 'done' }]);
    } finally {
      await alone.close();
    }
  });
});
