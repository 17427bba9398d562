import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { POST as dmQueue } from '../../app/api/cron/dm-queue/route.ts';
import { POST as enrolments } from '../../app/api/cron/enrolments/route.ts';
import { POST as jobs } from '../../app/api/cron/jobs/route.ts';
import { POST as monitors } from '../../app/api/cron/monitors/route.ts';
import { POST as posts } from '../../app/api/cron/posts/route.ts';
import { POST as reconcile } from '../../app/api/cron/reconcile/route.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices } from '../../lib/services/services.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../sandbox/shapes/unipile-shape.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { provideServices } from '../support/api-server.ts';
import {
  addStandIns,
  standInForHttpByCurl,
  standInForPgNetByCurl,
  standInForVault,
} from '../support/supabase-stand-ins.ts';

/*
 * The real pg_cron (Debian's, 1.4) calls the app's routes. Debian has no packages of the other extensions, so they have STAND-INS: pg_net
 * and pgsql-http run curl, and Vault stores its secrets reversed. As on Supabase, everything runs as `postgres`, which is not a superuser.
 */

const SECRET = 'cron-secret-of-this-server';
const WRONG = 'cron-secret-of-another-server';
const routes = new Map(
  Object.entries({ 'dm-queue': dmQueue, enrolments, jobs, monitors, posts, reconcile }).map(
    ([name, route]) => [`/api/cron/${name}`, route],
  ),
);

let stack: Stack;
let sandbox: Sandbox;
let app: Server;
let appUrl: string;
let owner: Client;
const clients: Client[] = [];
const notices: { severity?: string; message?: string; hint?: string }[] = [];
// biome-ignore lint/suspicious/noExplicitAny: the database's response, for assertions
let installed: any;

async function asOwner(): Promise<Client> {
  const client = new Client({ connectionString: stack.ownerUrl });
  client.on('notice', ({ severity, message, hint }) => notices.push({ severity, message, hint }));
  await client.connect();
  clients.push(client);
  return client;
}

/** Returns the single value of a statement. */
// biome-ignore lint/suspicious/noExplicitAny: of any shape, for assertions
async function value(client: Client, text: string, params: unknown[] = []): Promise<any> {
  const { rows } = await client.query({ text, values: params, rowMode: 'array' });
  return rows[0]?.[0];
}
const create = (client: Client, ...args: (string | null)[]) =>
  value(client, 'select punctual.create_queue_worker($1, $2, $3, $4)', args);
const refusal = (call: Promise<unknown>) =>
  call.then(
    () => null,
    ({ message, code, hint }) => ({ message, code, hint }),
  );

beforeAll(async () => {
  stack = await startStack({
    postgres: '15',
    settings: {
      shared_preload_libraries: 'pg_cron',
      'cron.database_name': 'postgres',
      'cron.use_background_workers': 'on',
      // One process for each job, because all are due at once.
      max_worker_processes: '20',
    },
  });
  await stack.sql('create extension pg_cron');
  // As Supabase does when the extension is enabled.
  await stack.sql('grant usage on schema cron to postgres');
  await addStandIns(stack, standInForPgNetByCurl);
  owner = await asOwner();

  sandbox = await startSandbox();
  vi.stubEnv('CRON_SECRET', SECRET);
  provideServices(
    makeServices(
      serverEnv({
        SUPABASE_URL: stack.supabaseUrl,
        SUPABASE_SERVICE_ROLE_KEY: stack.serviceRoleKey,
        UNIPILE_DSN: sandbox.url,
        UNIPILE_API_KEY: SANDBOX_API_KEY,
        LOG_LEVEL: 'fatal',
      }),
    ),
  );
  app = createServer(async ({ method, url = '', headers }, response) => {
    const route = method === 'POST' ? routes.get(url) : undefined;
    const result =
      (await route?.(
        new Request(`http://app.test${url}`, { method, headers: headers as Record<string, string> }),
      )) ?? new Response(null, { status: 404 });
    response.writeHead(result.status).end(await result.text());
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => app.once('listening', resolve));
  appUrl = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;

  for (const n of [1, 2, 3]) {
    await stack.sql(
      `with account as (insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', $1, $1) returning id)
       insert into punctual.dm_queue (account_id, channel, recipient, body) select id, 'linkedin', 'person', $1 from account`,
      [`by pg_cron ${n}`],
    );
  }
  // From here on pg_cron calls at the start of every minute.
  installed = await value(owner, 'select punctual.punctual_install_schedules($1, $2)', [appUrl, SECRET]);
});
afterAll(async () => {
  for (const client of clients) await client.end();
  app?.close();
  await sandbox?.close();
  provideServices(null);
  vi.unstubAllEnvs();
  await stack?.stop();
});

describe('with the real pg_cron, as an owner who is not a superuser,', () => {
  it('every queue gets a job, and without Vault a warning names who can read the token', async () => {
    expect(installed.workers).toHaveLength(8);
    expect(installed.workers).toContainEqual({
      name: 'punctual-dm-queue',
      url: `${appUrl}/api/cron/dm-queue`,
      schedule: '* * * * *',
      active: true,
      via: 'pg_net',
      token: 'table',
    });
    expect(notices.filter(({ severity }) => severity === 'WARNING')).toEqual([
      {
        severity: 'WARNING',
        message: expect.stringMatching(/dm-queue.* kept in plain text.* postgres can read it/),
        hint: expect.stringContaining('Vault'),
      },
    ]);
    const { rows } = await owner.query('select jobname, command, username from cron.job order by jobname');
    expect(rows).toHaveLength(9);
    expect(rows.slice(1, 3)).toEqual([
      { jobname: 'punctual-clean-up', command: 'select punctual.prune_worker_runs()', username: 'postgres' },
      {
        jobname: 'punctual-dm-queue',
        command: `select punctual.call_queue_worker('punctual-dm-queue')`,
        username: 'postgres',
      },
    ]);
  });

  it('the tokens move to Vault once it is installed', async () => {
    await addStandIns(stack, standInForVault);
    // As Supabase grants it.
    await stack.sql('grant usage on schema vault to postgres');
    await stack.sql('grant select, delete on vault.secrets, vault.decrypted_secrets to postgres');
    const warned = notices.length;
    const again = await value(owner, 'select punctual.punctual_install_schedules($1, null)', [appUrl]);
    expect(new Set(again.workers.map(({ token }: { token: string }) => token))).toEqual(new Set(['vault']));
    expect(notices).toHaveLength(warned);
    expect(await stack.sql('select * from punctual.queue_worker_tokens')).toEqual([]);
    await create(owner, 'wrong', `${appUrl}/api/cron/jobs`, WRONG, '* * * * *');
  });

  it('four sessions that create the same worker at once, five times each, create one job, and one session drops it', async () => {
    const pool = await Promise.all([1, 2, 3, 4].map(asOwner));
    const made: { name: string }[] = [];
    await Promise.all(
      pool.map(async (client, c) => {
        for (const n of [1, 2, 3, 4, 5]) {
          made.push(await create(client, 'race', `${appUrl}/at-${c}${n}`, `token-${c}${n}`, '0 0 1 1 *'));
        }
      }),
    );
    expect(made).toHaveLength(20);
    expect(new Set(made.map(({ name }) => name))).toEqual(new Set(['race']));
    const jobs = `select count(*)::integer from cron.job where jobname = 'race'`;
    expect(await value(owner, jobs)).toBe(1);
    const url = await value(owner, `select url from punctual.queue_workers where name = 'race'`);
    const token = await value(
      owner,
      `select decrypted_secret from vault.decrypted_secrets where name = 'punctual-race'`,
    );
    // The address and the token come from the same call.
    expect(url.replace(/.*-/, '')).toBe(token.replace(/.*-/, ''));

    const dropped = await Promise.all(
      pool.map((client) => refusal(value(client, `select punctual.drop_queue_worker('race')`))),
    );
    expect(dropped.filter((refused) => refused === null)).toHaveLength(1);
    expect(dropped.filter((refused) => refused?.code === 'PT404')).toHaveLength(3);
    expect(await value(owner, jobs)).toBe(0);
    expect(
      await value(owner, `select count(*)::integer from vault.secrets where name = 'punctual-race'`),
    ).toBe(0);
  });

  it('a schedule in seconds, or one that pg_cron refuses, fails with a clear message and leaves nothing behind', async () => {
    const url = `${appUrl}/api/cron/jobs`;
    expect(await refusal(create(owner, 'fast', url, SECRET, '10 seconds'))).toMatchObject({
      code: '0A000',
      message: expect.stringMatching(/pg_cron 1\.4 has no schedules of seconds/),
    });
    for (const schedule of ['61 * * * *', '* 24 * * *', '5/10 * * * *', '* * * foo *']) {
      expect({ schedule, ...(await refusal(create(owner, 'odd', url, SECRET, schedule))) }).toEqual({
        schedule,
        code: '22023',
        message: `create_queue_worker: pg_cron does not accept the schedule "${schedule}"`,
        hint: expect.stringContaining('Five fields'),
      });
    }
    expect(await value(owner, `select count(*)::integer from vault.secrets where name ~ 'odd|fast'`)).toBe(0);
    expect(
      await value(owner, `select count(*)::integer from punctual.queue_workers where name ~ 'odd|fast'`),
    ).toBe(0);
  });

  it('a role without usage on pg_cron and a role that does not own the worker get an error', async () => {
    await stack.sql('revoke usage on schema cron from postgres');
    const refused = await refusal(
      create(owner, 'punctual-jobs', `${appUrl}/api/cron/jobs`, SECRET, '* * * * *'),
    );
    await stack.sql('grant usage on schema cron to postgres');
    expect(refused).toMatchObject({ code: '42501', message: 'postgres may not use pg_cron' });
    await expect(stack.sql(`select punctual.drop_queue_worker('punctual-jobs')`)).rejects.toMatchObject({
      code: 'PT409',
    });
  });

  it('a run over pgsql-http (by curl) waits for the response and fails on a 401', async () => {
    // In a transaction that is rolled back, so that pg_cron goes on over pg_net.
    const other = new Client({ connectionString: stack.databaseUrl });
    await other.connect();
    clients.push(other);
    await other.query('begin');
    await addStandIns({ sql: async (text) => (await other.query(text)).rows }, standInForHttpByCurl);
    await other.query('alter schema net rename to net_away');
    await other.query('grant usage on schema extensions to postgres');
    await other.query('set local role postgres');
    const called = await value(other, `select punctual.call_queue_worker('punctual-monitors')`);
    const refused = await refusal(value(other, `select punctual.call_queue_worker('wrong')`));
    await other.query('rollback');
    expect(called).toEqual({ name: 'punctual-monitors', via: 'http', status: 200 });
    expect(refused).toMatchObject({ message: 'the endpoint of the worker "wrong" answered 401' });
  });

  it('pg_cron calls the routes within the minute: rows are done, the ledger has the slot, and a 401 is listed', async () => {
    const began = Date.now();
    // The status of each job's last run.
    const runs = `select j.jobname, (select d.status from cron.job_run_details d where d.jobid = j.jobid order by d.runid desc limit 1) as status
       from cron.job j where j.schedule = '* * * * *' order by 1`;
    const every = ['dm-queue', 'enrolments', 'jobs', 'monitors', 'posts'].map((name) => `punctual-${name}`);
    await vi.waitFor(
      async () =>
        expect((await owner.query(runs)).rows).toEqual(
          [...every, 'wrong'].map((jobname) => ({ jobname, status: 'succeeded' })),
        ),
      { timeout: 80_000, interval: 250 },
    );
    console.log(`pg_cron had called after ${Math.round((Date.now() - began) / 100) / 10} s`);

    expect(await stack.sql('select distinct status from punctual.dm_queue')).toEqual([{ status: 'sent' }]);
    expect(
      sandbox
        .deliveries()
        .map(({ text }) => text)
        .sort(),
    ).toEqual(['by pg_cron 1', 'by pg_cron 2', 'by pg_cron 3']);

    const ticks = await stack.sql(
      `select distinct on (queue) queue, scheduler, path, schedule, continuation, slot, started_at, done from punctual.ticks
        where scheduler = 'pg-cron' order by queue, started_at desc`,
    );
    expect(ticks.map(({ queue, path }) => [queue, path])).toEqual([
      ['dm_queue', '/api/cron/dm-queue'],
      ['enrolments', '/api/cron/enrolments'],
      ['jobs', '/api/cron/jobs'],
      ['monitors', '/api/cron/monitors'],
      ['posts', '/api/cron/posts'],
    ]);
    for (const tick of ticks) {
      expect(tick).toMatchObject({ schedule: '* * * * *', continuation: 0 });
      // The slot is the minute that had just started.
      expect(tick.slot.getTime() % 60_000).toBe(0);
      expect(tick.started_at - tick.slot).toBeGreaterThanOrEqual(0);
      expect(tick.started_at - tick.slot).toBeLessThan(30_000);
    }

    const list = await value(owner, 'select punctual.list_queue_workers()');
    const workerOf = (name: string) => list.find((worker: { name: string }) => worker.name === name);
    const run = { status: 'succeeded', at: expect.any(String), message: expect.any(String) };
    const response = (status: number) => ({ status, error: null, at: expect.any(String) });
    expect(workerOf('punctual-dm-queue')).toMatchObject({
      active: true,
      last_run: run,
      last_answer: response(200),
    });
    expect(workerOf('punctual-posts')).toMatchObject({ last_run: run, last_answer: response(200) });
    expect(workerOf('wrong')).toMatchObject({ last_run: run, last_answer: response(401) });
  });

  it('the secret is stored only in Vault and appears in no table, notice or log', async () => {
    const seen = JSON.stringify([
      installed,
      notices,
      await stack.sql('select * from cron.job'),
      await stack.sql('select * from cron.job_run_details'),
      await stack.sql('select * from net._http_response'),
      await stack.sql('select * from punctual.queue_workers'),
      await stack.sql('select * from punctual.queue_worker_tokens'),
      await value(owner, 'select punctual.list_queue_workers()'),
      stack.postgresLog(),
    ]);
    expect(seen).toContain('call_queue_worker');
    expect(seen).not.toContain(SECRET);
    expect(seen).not.toContain(WRONG);
  });

  it('the clean-up job deletes Punctual’s runs older than two days, and punctual_remove_schedules removes every job and secret', async () => {
    await stack.sql(
      `insert into cron.job_run_details (jobid, username, command, status, start_time, end_time)
       select 999, 'postgres', c, 'succeeded', t, t from unnest(array[49, 47]) h, lateral (select now() - make_interval(hours => h) as t) x,
              unnest(array['select punctual.call_queue_worker(''gone'')', 'vacuum']) c`,
    );
    const command = await value(owner, `select command from cron.job where jobname = 'punctual-clean-up'`);
    expect(await value(owner, command)).toBe(1);
    // It keeps other jobs' runs and runs of yesterday.
    expect(await stack.sql('select command from cron.job_run_details where jobid = 999')).toHaveLength(3);

    const removed = await value(owner, 'select punctual.punctual_remove_schedules()');
    expect(removed.removed).toHaveLength(9);
    expect(await stack.sql('select * from cron.job')).toEqual([]);
    expect(await stack.sql('select * from vault.secrets')).toEqual([]);
  });

  it('the clean-up job stays if the last worker is dropped while another is being created', async () => {
    await create(owner, 'last', `${appUrl}/last`, SECRET, '0 0 1 1 *');
    const other = await asOwner();
    await other.query('begin');
    await create(other, 'next', `${appUrl}/next`, SECRET, '0 0 1 1 *');
    const dropping = value(owner, `select punctual.drop_queue_worker('last')`);
    await Promise.race([dropping, new Promise((resolve) => setTimeout(resolve, 300))]);
    await other.query('commit');
    await dropping;
    const names = await stack.sql('select jobname from cron.job order by 1');
    expect(names).toEqual([{ jobname: 'next' }, { jobname: 'punctual-clean-up' }]);
  });
});
