import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET as tickDms } from '../../app/api/cron/dm-queue/route.ts';
import { GET as tickJobs } from '../../app/api/cron/jobs/route.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices } from '../../lib/services/services.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { CRON_SECRET, provideServices, stubSecrets } from '../support/api-server.ts';
import { buildWorker } from '../support/build-worker.ts';
import { dmTick } from './tick-process.ts';

/** The platform's grace in these tests. */
const graceSeconds = 10;

let stack: Stack;
let sandbox: Sandbox;
let worker: Worker | undefined;

beforeAll(async () => {
  buildWorker();
  stack = await startStack();
});
beforeEach(async () => {
  stubSecrets();
  await stack.sql(
    'truncate punctual.dm_queue, punctual.jobs, punctual.ticks, punctual.accounts restart identity cascade',
  );
});
afterEach(async () => {
  await worker?.end();
  worker = undefined;
  provideServices(null);
  vi.unstubAllEnvs();
  await sandbox?.close();
});
afterAll(() => stack?.stop());

const database = () => ({
  SUPABASE_URL: stack.supabaseUrl,
  SUPABASE_SERVICE_ROLE_KEY: stack.serviceRoleKey,
  UNIPILE_DSN: sandbox.url,
  UNIPILE_API_KEY: 'sandbox-key',
});

/** Settings of the ticks that run after the worker has ended. */
const tickSettings = () => ({
  supabaseUrl: stack.supabaseUrl,
  serviceRoleKey: stack.serviceRoleKey,
  unipile: { dsn: sandbox.url, apiKey: 'sandbox-key' },
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
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', 'dist/worker.js', '--only', 'dm-queue,jobs'],
    {
      env: {
        PATH: process.env.PATH,
        NODE_ENV: 'production',
        PORT: '0',
        HOST: '127.0.0.1',
        ...database(),
        WORKER_GRACE_SECONDS: String(graceSeconds),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
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
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 50));
};

/** Returns the numbers of each account's messages in the order of arrival. */
function arrivals(): Map<string, number[]> {
  const byAccount = new Map<string, number[]>();
  for (const { text } of sandbox.deliveries()) {
    const [, account = '', number] = /^(account-\d+) message (\d+)$/.exec(text) ?? [];
    byAccount.set(account, [...(byAccount.get(account) ?? []), Number(number)]);
  }
  return byAccount;
}

function expectEachOnceAndInOrder(count: number): void {
  const texts = sandbox.deliveries().map(({ text }) => text);
  expect(texts).toHaveLength(count);
  expect(new Set(texts).size).toBe(count);
  for (const numbers of arrivals().values()) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
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
    provideServices(makeServices(serverEnv({ ...database(), LOG_LEVEL: 'fatal' })));

    const startedAt = Date.now();
    worker = await startWorker();
    let isDone = false;
    const vercel = [tickDms, tickJobs].map(async (GET) => {
      while (!isDone) {
        const response = await GET(
          new Request('http://app.test/api/cron/x', {
            headers: {
              authorization: `Bearer ${CRON_SECRET}`,
              'user-agent': 'vercel-cron/1.0',
              'x-vercel-cron-schedule': '* * * * *',
            },
          }),
        );
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
      await stack.sql(
        'select distinct attempts from punctual.dm_queue union select distinct attempts from punctual.jobs',
      ),
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
    const tookMs = Date.now() - stoppedAt;
    expect(tookMs).toBeLessThan(graceSeconds * 1_000);

    const atEnd = await states('dm_queue');
    console.log(`SIGTERM: ended after ${tookMs} ms, ${JSON.stringify(atEnd)}`);
    expect(atEnd.sending).toBeUndefined();
    expect(atEnd.unknown).toBeUndefined();
    expect(atEnd.sent).toBe(sandbox.deliveries().length);
    expect(atEnd.pending).toBe(rows - (atEnd.sent ?? 0));
    expect(atEnd.pending).toBeGreaterThan(0);
    expect(
      await stack.sql('select count(*)::integer as n from punctual.ticks where closed_at is null'),
    ).toEqual([{ n: 0 }]);
    const [last] = await stack.sql(
      `select report->>'ended' as ended from punctual.ticks where queue = 'dm_queue' order by started_at desc limit 1`,
    );
    expect(last).toEqual({ ended: 'stopped' });

    await stack.sql('update punctual.queues set concurrency = 100');
    await until(async () => (await dmTick(tickSettings())).outcome === 'idle');
    expectEachOnceAndInOrder(rows);
  });

  it('loses no row and sends none twice when it is killed under load, because later ticks recover its rows', async () => {
    const rows = 300;
    sandbox = await startSandbox({ latencyMs: [50, 400] });
    await stack.sql(
      `update punctual.queues set batch_limit = null, concurrency = 40, max_ticks = 1 where name = 'dm_queue'`,
    );
    await addDms(rows, 100);
    worker = await startWorker();
    await until(() => sandbox.deliveries().length > 60);
    await worker.end();
    const left = await states('dm_queue');
    expect(left.sending).toBeGreaterThan(0);
    // Lets the sandbox finish the requests that it already has.
    await new Promise((resolve) => setTimeout(resolve, 500));

    await stack.sql('update punctual.queues set concurrency = 100');
    let aheadMs = 120_000;
    await until(async () => {
      const report = await dmTick({ ...tickSettings(), aheadMs });
      aheadMs += 120_000;
      return report.outcome === 'idle';
    });
    const texts = sandbox.deliveries().map(({ text }) => text);
    expect(new Set(texts).size).toBe(texts.length);
    const sent = await stack.sql(`select body from punctual.dm_queue where status = 'sent'`);
    expect(sent.map(({ body }) => body).filter((body) => !texts.includes(body))).toEqual([]);
    const atEnd = await states('dm_queue');
    console.log(`SIGKILL: ${left.sending} were running; at the end ${JSON.stringify(atEnd)}`);
    expect((atEnd.sent ?? 0) + (atEnd.unknown ?? 0)).toBe(rows);
    expect(atEnd.unknown ?? 0).toBeLessThanOrEqual(left.sending ?? 0);
    expect(
      await stack.sql(`select count(*)::integer as n from punctual.ticks where outcome = 'died'`),
    ).toEqual([{ n: 1 }]);
  });
});
