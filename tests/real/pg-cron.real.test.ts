import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { POST as dmQueue } from '../../app/api/cron/dm-queue/route.ts';
import { POST as enrolments } from '../../app/api/cron/enrolments/route.ts';
import { POST as jobs } from '../../app/api/cron/jobs/route.ts';
import { POST as monitors } from '../../app/api/cron/monitors/route.ts';
import { POST as posts } from '../../app/api/cron/posts/route.ts';
import { answerApi } from '../../lib/api/answer-api.ts';
import { type Sandbox, startSandbox } from '../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../lib/sandbox/shapes/unipile-shape.ts';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices, provideServices } from '../../lib/services/services.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';

import { serveHandler } from '../support/serve-handler.ts';
import { addStandIns, standInForPgNetByCurl, standInForVault } from '../support/supabase-stand-ins.ts';

const reconcile = (request: Request) => answerApi(request, ['cron', 'reconcile'], {});

/*
 * The real pg_cron (Debian's, 1.4) calls the app's routes. Debian has no packages of the other extensions, so they have STAND-INS: pg_net
 * runs curl, and Vault stores its secrets reversed. As on Supabase, everything runs as `postgres`, which is not a superuser.
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
let app: Awaited<ReturnType<typeof serveHandler>>;
let owner: Client;
const clients: Client[] = [];
const notices: { severity?: string; message?: string; hint?: string }[] = [];
const warnings = () => notices.filter(({ severity }) => severity === 'WARNING');
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
const create = (name: string, url: string, token = SECRET, schedule = '0 0 1 1 *', client = owner) =>
  value(client, 'select punctual.create_queue_worker($1, $2, $3, $4)', [name, url, token, schedule]);
const drop = (name: string, client = owner) => value(client, 'select punctual.drop_queue_worker($1)', [name]);

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
  app = await serveHandler(async (request) => {
    const route = request.method === 'POST' && routes.get(new URL(request.url).pathname);
    return route ? route(request) : new Response(null, { status: 404 });
  });
  await stack.sql(
    `with a as (insert into punctual.accounts (provider, provider_account_id, name)
       select 'unipile', n, n from unnest('{by pg_cron 1, by pg_cron 2, by pg_cron 3}'::text[]) n returning id, name)
     insert into punctual.dm_queue (account_id, channel, recipient, body) select id, 'linkedin', 'person', name from a`,
  );
  // From here on pg_cron calls at the start of every minute.
  installed = await value(owner, 'select punctual.punctual_install_schedules($1, $2)', [app.url, SECRET]);
});
afterAll(async () => {
  for (const client of clients) await client.end();
  await app?.close();
  await sandbox?.close();
  provideServices(null);
  vi.unstubAllEnvs();
  await stack?.stop();
});

// The tests build on each other.
describe('with the real pg_cron, as an owner who is not a superuser,', () => {
  it('every queue gets a job, and a warning names who can read the token until it moves to Vault', async () => {
    expect(installed.workers).toHaveLength(8);
    expect(installed.workers).toContainEqual({
      name: 'punctual-dm-queue',
      url: `${app.url}/api/cron/dm-queue`,
      schedule: '* * * * *',
      active: true,
      via: 'pg_net',
      token: 'table',
    });
    const warning = {
      severity: 'WARNING',
      message: expect.stringMatching(/dm-queue.* kept in plain text.* postgres can read it/),
      hint: expect.stringContaining('Vault'),
    };
    expect(warnings()).toEqual([warning]);
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

    await addStandIns(stack, standInForVault);
    // As Supabase grants it.
    await stack.sql('grant usage on schema vault to postgres');
    await stack.sql('grant select, delete on vault.secrets, vault.decrypted_secrets to postgres');
    const again = await value(owner, 'select punctual.punctual_install_schedules($1, null)', [app.url]);
    expect(new Set(again.workers.map(({ token }: { token: string }) => token))).toEqual(new Set(['vault']));
    expect(warnings()).toHaveLength(1);
    expect(await stack.sql('select * from punctual.queue_worker_tokens')).toEqual([]);
    await create('wrong', `${app.url}/api/cron/jobs`, WRONG, '* * * * *');
  });

  it('four sessions that create the same worker at once, five times each, create one job, and one session drops it', async () => {
    const pool = await Promise.all([1, 2, 3, 4].map(asOwner));
    const made: unknown[] = [];
    await Promise.all(
      pool.map(async (client, c) => {
        for (const n of [1, 2, 3, 4, 5])
          made.push(await create('race', `${app.url}/at-${c}${n}`, `token-${c}${n}`, undefined, client));
      }),
    );
    expect(made).toMatchObject(Array(20).fill({ name: 'race' }));
    const jobs = `select jobid from cron.job where jobname = 'race'`;
    expect(await stack.sql(jobs)).toHaveLength(1);
    const [{ url, token }] = await stack.sql(
      `select w.url, s.decrypted_secret as token from punctual.queue_workers w, vault.decrypted_secrets s
        where w.name = 'race' and s.name = 'punctual-race'`,
    );
    // The address and the token come from the same call.
    expect(url.replace(/.*-/, '')).toBe(token.replace(/.*-/, ''));

    const dropped = await Promise.allSettled(pool.map((client) => drop('race', client)));
    const refused = dropped.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused).toMatchObject(Array(3).fill({ code: 'PT404' }));
    expect(await stack.sql(jobs)).toEqual([]);
    expect(await stack.sql(`select id from vault.secrets where name = 'punctual-race'`)).toEqual([]);
  });

  it('a schedule in seconds, or one that pg_cron refuses, fails with a clear message and leaves nothing behind', async () => {
    const refusalOf = (schedule: string) =>
      expect(create('odd', `${app.url}/api/cron/jobs`, SECRET, schedule), schedule).rejects;
    await refusalOf('10 seconds').toMatchObject({
      code: '0A000',
      message: expect.stringMatching(/pg_cron 1\.4 has no schedules of seconds/),
    });
    for (const schedule of ['61 * * * *', '* 24 * * *', '5/10 * * * *', '* * * foo *']) {
      await refusalOf(schedule).toMatchObject({
        code: '22023',
        message: `create_queue_worker: pg_cron does not accept the schedule "${schedule}"`,
        hint: expect.stringContaining('Five fields'),
      });
    }
    expect(
      await stack.sql(
        `select name from vault.secrets where name ~ 'odd' union select name from punctual.queue_workers where name ~ 'odd'`,
      ),
    ).toEqual([]);
  });

  it('a role without usage on pg_cron and a role that does not own the worker get an error', async () => {
    await stack.sql('revoke usage on schema cron from postgres');
    await expect(create('punctual-jobs', `${app.url}/api/cron/jobs`)).rejects.toMatchObject({
      code: '42501',
      message: 'postgres may not use pg_cron',
    });
    await stack.sql('grant usage on schema cron to postgres');
    await expect(stack.sql(`select punctual.drop_queue_worker('punctual-jobs')`)).rejects.toMatchObject({
      code: 'PT409',
    });
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
    const texts = sandbox.deliveries().map(({ text }) => text);
    expect(texts.sort()).toEqual(['by pg_cron 1', 'by pg_cron 2', 'by pg_cron 3']);

    const ticks = await stack.sql(
      `select distinct on (queue) queue, path, schedule, continuation, slot, started_at from punctual.ticks
        where scheduler = 'pg-cron' order by queue, started_at desc`,
    );
    expect(ticks).toMatchObject(
      ['dm_queue', 'enrolments', 'jobs', 'monitors', 'posts'].map((queue) => {
        const path = `/api/cron/${queue.replace('_', '-')}`;
        return { queue, path, schedule: '* * * * *', continuation: 0 };
      }),
    );
    for (const { slot, started_at } of ticks) {
      // The slot is the minute that had just started.
      expect(slot.getTime() % 60_000).toBe(0);
      expect(started_at - slot).toBeGreaterThanOrEqual(0);
      expect(started_at - slot).toBeLessThan(30_000);
    }

    const list = await value(owner, 'select punctual.list_queue_workers()');
    const last_run = { status: 'succeeded', at: expect.any(String), message: expect.any(String) };
    const answers = { 'punctual-dm-queue': 200, 'punctual-posts': 200, wrong: 401 };
    for (const [name, status] of Object.entries(answers)) {
      const last_answer = { status, error: null, at: expect.any(String) };
      expect(list).toContainEqual(expect.objectContaining({ name, active: true, last_run, last_answer }));
    }
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
    await create('last', `${app.url}/last`);
    const other = await asOwner();
    await other.query('begin');
    await create('next', `${app.url}/next`, undefined, undefined, other);
    const dropping = drop('last');
    await Promise.race([dropping, sleep(300)]);
    await other.query('commit');
    await dropping;
    const names = await stack.sql('select jobname from cron.job order by 1');
    expect(names).toEqual([{ jobname: 'next' }, { jobname: 'punctual-clean-up' }]);
  });
});
