import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET as tickDms } from '../../app/api/cron/dm-queue/route.ts';
import { GET as tickJobs } from '../../app/api/cron/jobs/route.ts';
import { type Sandbox, startSandbox } from '../../lib/sandbox/sandbox.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices, provideServices } from '../../lib/services/services.ts';
import { apiRequest, bearer, CRON_SECRET, stubSecrets } from '../support/api-server.ts';
import { buildWorker } from '../support/build-worker.ts';
import { testStack } from './test-stack.ts';
import { dmTick } from './tick-process.ts';

/** The platform's grace in these tests. */
const graceSeconds = 10;

const stack = testStack();
let sandbox: Sandbox;
let worker: Worker | undefined;

beforeAll(buildWorker);
beforeEach(() => stubSecrets());
afterEach(async () => {
  await worker?.end();
  worker = undefined;
  provideServices(null);
  vi.unstubAllEnvs();
  await sandbox?.close();
});

const environment = () => ({
  SUPABASE_URL: stack.supabaseUrl,
  SUPABASE_SERVICE_ROLE_KEY: stack.serviceRoleKey,
  UNIPILE_DSN: sandbox.url,
  UNIPILE_API_KEY: 'sandbox-key',
});

interface Worker {
  process: ChildProcess;
  url: string;
  /** [code, signal] */
  exit: Promise<unknown[]>;
  end(): Promise<void>;
}

/** Starts the worker in a process of its own, without a shell or npm between, which would get the signal instead. */
async function startWorker(): Promise<Worker> {
  const args = ['--enable-source-maps', 'dist/worker.js', '--only', 'dm-queue,jobs'];
  const child = spawn(process.execPath, args, {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      PORT: '0',
      HOST: '127.0.0.1',
      ...environment(),
      WORKER_GRACE_SECONDS: String(graceSeconds),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const url = await new Promise<string>((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
      const address = /"url":"([^"]+)"/.exec(output)?.[1];
      if (address) resolve(address);
    });
    void exit.then(([code]) => reject(new Error(`the worker ended with ${code}: ${output}`)));
  });
  const end = async () => {
    child.kill('SIGKILL');
    await exit;
  };
  return { process: child, url, exit, end };
}

/** Adds due messages, evenly spread over the accounts. Their texts contain their order. */
async function addDms(count: number, accounts: number): Promise<void> {
  await stack.sql(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
     select 'unipile', 'account-' || n, 'Account ' || n, 100000 from generate_series(1, $1::integer) n`,
    [accounts],
  );
  await stack.sql(
    `insert into punctual.dm_queue (account_id, channel, recipient, body, send_at)
     select a.id, 'linkedin', 'person-' || n, a.provider_account_id || ' message ' || n, now() - make_interval(secs => $1::integer - n)
       from generate_series(1, $1::integer) n
       join punctual.accounts a on a.provider_account_id = 'account-' || (1 + n % $2::integer)`,
    [count, accounts],
  );
  await stack.sql('analyze punctual.dm_queue');
}

const states = async (table: string): Promise<Record<string, number>> =>
  Object.fromEntries(
    (await stack.sql(`select status, count(*)::integer as n from punctual.${table} group by 1`)).map(
      (row) => [row.status, row.n],
    ),
  );

const until = async (isSo: () => Promise<boolean> | boolean) => {
  while (!(await isSo())) await sleep(50);
};

/** Expects that each of `count` messages arrived once, and those of one account in order. */
function expectEachOnceAndInOrder(count: number): void {
  const texts = sandbox.deliveries().map(({ text }) => text);
  expect(texts).toHaveLength(count);
  expect(new Set(texts).size).toBe(count);
  const latest = new Map<string, number>();
  for (const text of texts) {
    const [account = '', number] = text.split(' message ');
    expect(Number(number), text).toBeGreaterThan(latest.get(account) ?? 0);
    latest.set(account, Number(number));
  }
}

describe('the worker', () => {
  it('drains 20,000 rows back-to-back beside Vercel’s ticks, each once and in order within its account', async () => {
    const [dms, jobs] = [6_000, 14_000];
    sandbox = await startSandbox();
    await stack.sql(
      `update punctual.queues set batch_limit = 1000, concurrency = 50, max_ticks = 2 where name in ('dm_queue', 'jobs')`,
    );
    await addDms(dms, 300);
    await stack.sql(
      `insert into punctual.jobs (name, payload, queue, run_at) select 'count-words', '{"text": "a b"}', 'default', now() - interval '1 hour'
         from generate_series(1, $1::integer)`,
      [jobs],
    );
    await stack.sql('analyze punctual.jobs');
    provideServices(makeServices(serverEnv({ ...environment(), LOG_LEVEL: 'fatal' })));

    const startedAt = Date.now();
    worker = await startWorker();
    let isDone = false;
    const vercel = [tickDms, tickJobs].map(async (GET) => {
      const headers = { 'user-agent': 'vercel-cron/1.0', 'x-vercel-cron-schedule': '* * * * *' };
      while (!isDone) {
        const call = apiRequest('GET', '/api/cron/x', { ...bearer(CRON_SECRET), ...headers });
        const response = await GET(call);
        expect(response.status).toBe(200);
        await response.json();
      }
    });
    await until(async () => (await states('dm_queue')).sent === dms && (await states('jobs')).done === jobs);
    isDone = true;
    await Promise.all(vercel);
    const seconds = (Date.now() - startedAt) / 1_000;

    expectEachOnceAndInOrder(dms);
    expect(await states('dm_queue')).toEqual({ sent: dms });
    expect(await states('jobs')).toEqual({ done: jobs });
    expect(
      await stack.sql('select attempts from punctual.dm_queue union select attempts from punctual.jobs'),
    ).toEqual([{ attempts: 1 }]);
    const shares = await stack.sql(
      `select queue, scheduler, count(*)::integer as ticks, sum(done)::integer as done, max(continuation) as continuations from punctual.ticks
        where done > 0 group by 1, 2 order by 1, 2`,
    );
    console.log(`${dms + jobs} rows in ${seconds.toFixed(1)} s: ${JSON.stringify(shares)}`);
    // Both schedulers did some rows, and the worker started continuations instead of waiting for its next slot.
    expect(shares.map(({ queue, scheduler }) => `${queue} ${scheduler}`)).toEqual([
      'dm_queue vercel',
      'dm_queue worker',
      'jobs vercel',
      'jobs worker',
    ]);
    for (const { scheduler, continuations } of shares)
      if (scheduler === 'worker') expect(continuations).toBeGreaterThan(0);
  });

  it('exits with 0 within the grace after SIGTERM under load, leaves no row running and loses none', async () => {
    const rows = 300;
    sandbox = await startSandbox({ latencyMs: [200, 1_000] });
    await stack.sql(
      `update punctual.queues set batch_limit = null, concurrency = 40, max_ticks = 1 where name = 'dm_queue'`,
    );
    await addDms(rows, 100);
    worker = await startWorker();
    await until(() => sandbox.deliveries().length > 60);
    const health = await fetch(`${worker.url}/health`);
    expect([health.status, await health.json()]).toMatchObject([200, { status: 'ok' }]);
    const stoppedAt = Date.now();
    worker.process.kill('SIGTERM');
    expect(await worker.exit).toEqual([0, null]);
    expect(Date.now() - stoppedAt).toBeLessThan(graceSeconds * 1_000);

    const sent = sandbox.deliveries().length;
    expect(sent).toBeLessThan(rows);
    expect(await states('dm_queue')).toEqual({ sent, pending: rows - sent });
    expect(await stack.sql('select id from punctual.ticks where closed_at is null')).toEqual([]);
    expect(
      await stack.sql(
        `select report->>'ended' as ended from punctual.ticks where queue = 'dm_queue' order by started_at desc limit 1`,
      ),
    ).toEqual([{ ended: 'stopped' }]);

    await stack.sql('update punctual.queues set concurrency = 100');
    const unipile = { dsn: sandbox.url, apiKey: 'sandbox-key' };
    await until(async () => (await dmTick({ ...stack.settings, unipile })).outcome === 'idle');
    expectEachOnceAndInOrder(rows);
  });
});
