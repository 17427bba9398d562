import { afterAll, describe, expect, it } from 'vitest';
import { handlers } from '../../../jobs/handlers.ts';
import { answerApi } from '../../../lib/api/answer-api.ts';
import type { CronCall } from '../../../lib/cron/cron-call.ts';
import { scheduledHandler } from '../../../lib/cron/handlers/scheduled-handler.ts';
import { systemClock } from '../../../lib/engine/ports/clock.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { defineQueue } from '../../../lib/engine/queue.ts';
import { jobsQueue } from '../../../lib/queues/jobs/queue.ts';
import { startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { getServices, type Services } from '../../../lib/services/services.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { VirtualClock } from '../../../lib/testing/virtual-clock.ts';
import { punctual } from '../../../punctual.ts';
import { answered, apiRequest, bearer, CRON_SECRET } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { replaceEnv } from '../../support/replace-services.ts';

const GET = (request: Request) => answerApi(request, ['cron', 'process-scheduled'], {});
const POST = (request: Request) => answerApi(request, ['cron', 'process-scheduled'], {});

const path = '/api/cron/process-scheduled';
const sandbox = await startSandbox();
afterAll(() => sandbox.close());
const database = servedDatabase(
  { UNIPILE_DSN: sandbox.url, UNIPILE_API_KEY: SANDBOX_API_KEY },
  { own: true },
);

const processScheduled = () => answered(GET(apiRequest('GET', path, bearer(CRON_SECRET))));

const addJobs = (queue: string, count: number) =>
  database.sql(
    `with p as (insert into punctual.partitions (queue, partition) values ('jobs', $1) on conflict do nothing)
     insert into punctual.jobs (name, payload, queue, run_at)
     select 'count-words', '{"text": "a b"}', $1, '2026-03-01T00:00:00Z' from generate_series(1, $2::integer)`,
    [queue, count],
  );

/** Adds partitions with many jobs, due since the time of the virtual clock. */
async function addBacklog(partitions: number, count: number): Promise<void> {
  for (let n = 0; n < partitions; n++) await addJobs(`part-${String(n).padStart(2, '0')}`, count);
}

interface CronReport {
  queue: string;
  partition: string;
  counts: { done: number };
}

const call = (startedAt: number): CronCall => ({
  path,
  params: new URLSearchParams(),
  scheduler: 'test',
  slot: null,
  schedule: null,
  continuation: 0,
  runId: crypto.randomUUID(),
  startedAt,
  maxDuration: 60,
});

const jobs = jobsQueue(handlers);
const jobStatuses = () => database.sql('select status, count(*)::integer as n from punctual.jobs group by 1');
const doneJobs = (n: number) => [{ status: 'done', n }];

describe('a call of /api/cron/process-scheduled', () => {
  it('ticks every queue, and each partition that has due rows, as one run', async () => {
    await database.sql(
      `with account as (
         insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'ann', 'Ann') returning id)
       insert into punctual.dm_queue (account_id, channel, recipient, body) select id, 'linkedin', 'bob', 'hello' from account`,
    );
    await addJobs('default', 3);
    await addJobs('reports', 2);
    const { status, body } = await processScheduled();
    expect(status).toBe(200);
    const { reports, ...rest } = body;
    const ticked = reports.map(({ queue, partition }: CronReport) => `${queue}:${partition}`);
    expect(ticked.sort()).toEqual([
      'dm_queue:main',
      'enrolments:main',
      'jobs:default',
      'jobs:reports',
      'monitors:main',
      'posts:main',
    ]);
    expect(rest).toMatchObject({ left: [], notConfigured: [] });
    expect(await jobStatuses()).toEqual(doneJobs(5));
    expect(await database.sql('select status from punctual.dm_queue')).toEqual([{ status: 'sent' }]);
    expect(await database.sql('select distinct path, run_id from punctual.ticks')).toMatchObject([{ path }]);
  });

  it('leaves queues whose continuations are used up or switched off to the next slot', async () => {
    await addJobs('default', 2);
    await database.sql(`update punctual.queues set max_continuations = 0 where name <> 'jobs'`);
    const continuation = { 'x-punctual-continuation': '1', 'x-punctual-run-id': crypto.randomUUID() };
    const headers = { ...bearer(CRON_SECRET), ...continuation };
    const { body } = await answered(POST(apiRequest('POST', path, headers)));
    expect(body.reports).toMatchObject([{ queue: 'jobs', continuation: 1, counts: { done: 2 } }]);
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
    expect(await jobStatuses()).toEqual(doneJobs(1));
  });

  it('skips the queues that are not configured, and names them', async () => {
    await replaceEnv({}, database.rpc);
    await addJobs('default', 1);
    expect((await processScheduled()).body.notConfigured).toEqual(['dm_queue', 'posts']);
    expect(await jobStatuses()).toEqual(doneJobs(1));
  });

  it('ticks the other queues if the definition of one is invalid, and reports it', async () => {
    await addJobs('default', 1);
    const odd = defineQueue({ ...jobs, name: 'odd', timeoutMs: 60_000 });
    const queues = [odd, ...punctual.queues];
    const { fault } = await scheduledHandler(queues)(await getServices(), call(systemClock.now()));
    expect(await jobStatuses()).toEqual(doneJobs(1));
    expect(fault).toMatchObject({ name: 'NotConfiguredError', message: expect.stringContaining('43000 ms') });
  });
});

describe('the budget of one call', () => {
  it('goes to every queue in turn, so that none waits behind all partitions of another', async () => {
    await database.sql(
      `update punctual.queues set batch_limit = null, concurrency = 2, timeout_seconds = 43 where name = 'jobs'`,
    );
    // A job may take the whole call, so there is time for 16 partitions and no more.
    await addBacklog(20, 20);
    await database.sql(
      `insert into punctual.monitors (name, url, next_check_at) values ('Shop', 'https://shop.test/', '2026-03-01')`,
    );
    const queues = ['jobs', 'monitors'];
    const { body } = await callWithSlowJobs({ timeoutMs: 43_000, rowMs: 30_000, queues });
    expect(body.reports.map(({ queue }) => queue)).toContain('monitors');
    expect(body.left.length).toBeGreaterThan(0);
  });

  it('reports a partition whose timeout can never fit, and ticks the others', async () => {
    await addJobs('default', 1);
    await addJobs('long', 1);
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
    const queues = punctual.queues.map((one) => (one.name === 'jobs' ? slow : one));
    const startedAt = clock.now();
    const { body, fault } = await clock.run(
      scheduledHandler(queues.filter(({ name }) => names.includes(name)))(shared, call(startedAt)),
    );
    return {
      body: body as { reports: CronReport[]; left: string[] },
      fault,
      usedMs: clock.now() - startedAt,
    };
  }

  it('is shared: each of 40 partitions with long backlogs gets its turn, and the call ends in time', async () => {
    await database.sql(`update punctual.queues set batch_limit = null, concurrency = 2 where name = 'jobs'`);
    await addBacklog(40, 30);
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
