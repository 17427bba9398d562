import { describe, expect, it } from 'vitest';
import { address, cron, queueWorkers, secret } from '../support/queue-workers.ts';
import {
  removeStandIns,
  standInForHttp,
  standInForPgCron,
  standInForPgNet,
  standInForVault,
} from '../support/supabase-stand-ins.ts';

/* The extensions are stand-ins here. tests/real/pg-cron.real.test.ts uses the real pg_cron. */

const { database, enable, enableOnly, create, listed, jobs, secrets } = queueWorkers();

const call = async (name = 'dm-queue', now: string | null = null) =>
  (await database.sql('select punctual.call_queue_worker($1, $2) as called', [name, now]))[0].called;
const drop = async (name = 'dm-queue') =>
  (await database.sql('select punctual.drop_queue_worker($1) as dropped', [name]))[0].dropped;
/** The requests that pg_net received. */
const requests = () => database.sql('select * from net.http_request_queue order by id');
const tokens = () => database.sql('select name, token from punctual.queue_worker_tokens');

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => null,
    ({ message, code, hint }) => ({ message, code, hint }),
  );

describe('create_queue_worker', () => {
  it('creates a job whose command holds only the worker’s name, and a clean-up job', async () => {
    const worker = { name: 'dm-queue', url: address, schedule: '* * * * *' };
    expect(await create()).toEqual({ ...worker, active: true, via: 'pg_net', token: 'vault' });
    const command = `select punctual.call_queue_worker('dm-queue')`;
    const prune = 'select punctual.prune_worker_runs()';
    expect(await jobs()).toEqual([
      { jobname: 'dm-queue', schedule: '* * * * *', command },
      { jobname: 'punctual-clean-up', schedule: '43 3 * * *', command: prune },
    ]);
  });

  it('stores the token in Vault and nowhere else', async () => {
    const outputs = [await create(), await jobs(), await listed(), await tokens()];
    outputs.push(await database.sql('select * from punctual.queue_workers'));
    expect(await secrets()).toEqual([{ name: 'punctual-dm-queue', token: secret }]);
    expect(JSON.stringify(outputs)).not.toContain(secret);
  });

  it('stores the token in a table of the owner if there is no Vault, and moves it once there is one', async () => {
    await enableOnly(cron, standInForPgNet);
    const made = await create();
    expect(made).toMatchObject({ token: 'table' });
    expect(await tokens()).toEqual([{ name: 'dm-queue', token: secret }]);
    expect(JSON.stringify([made, await jobs(), await listed()])).not.toContain(secret);
    await call();
    expect(await requests()).toMatchObject([{ headers: { Authorization: `Bearer ${secret}` } }]);

    await enable(standInForVault);
    expect(await create({ token: null })).toMatchObject({ token: 'vault' });
    expect([await tokens(), await secrets()]).toEqual([[], [{ name: 'punctual-dm-queue', token: secret }]]);
  });

  it('takes over a leftover secret of its name in Vault', async () => {
    await database.sql(`select vault.create_secret('left over', 'punctual-dm-queue', '')`);
    await create();
    expect(await secrets()).toEqual([{ name: 'punctual-dm-queue', token: secret }]);
  });

  it('changes an existing worker: its address, its schedule, and its token if one is given', async () => {
    await create();
    const url = 'https://new.app/api/cron/dm-queue';
    const changed = await create({ url, token: null, schedule: ' */5  * * * * ' });
    expect(changed).toMatchObject({ url, schedule: '*/5 * * * *' });
    await call();
    await create({ url, token: 'another-one' });
    await call();
    expect(await requests()).toMatchObject([
      { url, headers: { Authorization: `Bearer ${secret}` } },
      { url, headers: { Authorization: 'Bearer another-one' } },
    ]);
    expect([await secrets(), await jobs()]).toMatchObject([{ length: 1 }, { length: 2 }]);
  });

  it('leaves a paused job paused, and says so', async () => {
    await create();
    await database.sql(`update cron.job set active = false where jobname = 'dm-queue'`);
    expect([await create(), ...(await listed())]).toMatchObject([{ active: false }, { active: false }]);
  });

  it('accepts a schedule of seconds from pg_cron 1.5 on, and suggests minutes before that', async () => {
    expect(await create({ schedule: '10 seconds' })).toMatchObject({ schedule: '10 seconds' });
    expect((await jobs())[0].schedule).toBe('10 seconds');
    await drop();
    await enableOnly(standInForPgCron('1.4-1'), standInForPgNet, standInForVault);
    expect(await refusal(create({ schedule: '10 seconds' }))).toEqual({
      code: '0A000',
      message: 'create_queue_worker: pg_cron 1.4 has no schedules of seconds, only of minutes',
      hint: expect.stringContaining('* * * * *'),
    });
    expect(await listed()).toEqual([]);
  });

  it('refuses another role’s worker, because a second job would call beside the first', async () => {
    await create();
    await database.sql(`update punctual.queue_workers set owner = 'service_role'`);
    const refused = { code: 'PT409', hint: expect.stringContaining('set role') };
    for (const act of [create, drop]) expect(await refusal(act())).toMatchObject(refused);
    expect(await jobs()).toHaveLength(2);
  });

  it('refuses invalid input, creates nothing, and repeats no secret', async () => {
    const invalid: [options: Record<string, string | null>, message: RegExp][] = [
      [{ name: null }, /cannot be a worker's name/],
      [{ name: `a'); --` }, /cannot be a worker's name/],
      [{ name: 'Dm' }, /cannot be a worker's name/],
      [{ name: 'a'.repeat(61) }, /cannot be a worker's name/],
      [{ name: 'punctual-clean-up' }, /cannot be a worker's name/],
      [{ url: null }, /p_url must begin with https/],
      [{ url: 'https:///x' }, /p_url must begin with https/],
      [{ url: 'file:///etc/passwd' }, /p_url must begin with https/],
      [{ url: 'https://u:pass-word@your.app/' }, /p_url has a user or a password/],
      [{ url: 'https://your.app/\nX: y' }, /p_url has white space/],
      [{ url: 'https://your.app\\@evil.test/' }, /p_url has white space/],
      [{ url: 'http://your.app/' }, /p_url .*plain http/],
      [{ url: 'http://10.0.0.1.evil.test/' }, /p_url .*plain http/],
      [{ url: 'http://134744072/' }, /p_url .*plain http/],
      [{ url: 'http://172.32.0.1/' }, /p_url .*plain http/],
      [{ token: '' }, /p_token is empty/],
      [{ token: 'one-line\nX-Other: x' }, /p_token is empty, or has/],
      [{ token: 'schlüssel' }, /p_token is empty, or has/],
      [{ token: null }, /"dm-queue" has no token yet/],
      [{ schedule: null }, /is not a valid schedule/],
      [{ schedule: '* * * *' }, /"\* \* \* \*" is not a valid schedule/],
      [{ schedule: '0 * * * * *' }, /is not a valid schedule/],
      [{ schedule: '0 seconds' }, /is not a valid schedule/],
      [{ schedule: '60 seconds' }, /is not a valid schedule/],
      [{ schedule: `* * * * '` }, /is not a valid schedule/],
    ];
    for (const [options, message] of invalid) {
      const refused = await refusal(create(options));
      const expected = { code: '22023', message: expect.stringMatching(message) };
      expect({ options, ...refused }).toMatchObject({ options, ...expected });
      for (const one of [options.token || secret, 'pass-word'])
        expect(JSON.stringify(refused)).not.toContain(one);
    }
    expect([await listed(), await jobs(), await secrets()]).toEqual([[], [], []]);
  });

  it('accepts https, and plain http within the machine or its network', async () => {
    for (const url of [
      'http://localhost:3000/api/cron/jobs?partition=failed',
      'http://127.0.0.1:3000/x',
      'http://[::1]:3000/x',
      'http://host.docker.internal:3000/x',
      'http://app:3000/x',
      'http://10.1.2.3/x',
      'http://172.16.0.9/x',
      'http://192.168.1.2/x',
      'HTTPS://Your.App:8443/x',
    ])
      expect(await create({ url })).toMatchObject({ url });
  });

  it('names the extension to enable', async () => {
    await removeStandIns(database);
    expect(await refusal(create())).toMatchObject({
      code: '0A000',
      message: 'the extension pg_cron is not turned on',
      hint: expect.stringContaining('create extension pg_cron'),
    });
    await enable(cron);
    expect(await refusal(create())).toMatchObject({
      code: '0A000',
      message: expect.stringContaining('neither pg_net nor http'),
      hint: expect.stringContaining('create extension pg_net'),
    });
    expect(await listed()).toEqual([]);
  });

  it('never hands the token to a function of an ordinary role in place of an extension’s', async () => {
    await enableOnly(cron, standInForHttp);
    await database.sql('alter function extensions.http(extensions.http_request) owner to anon');
    await expect(create()).rejects.toThrow('neither pg_net nor http');
  });
});

describe('call_queue_worker', () => {
  const headers = { Authorization: `Bearer ${secret}`, 'x-punctual-scheduler': 'pg-cron' };
  const sentAtFive = { 'x-punctual-schedule': '*/5 * * * *', 'x-punctual-slot': '2026-11-23T10:05:00Z' };

  it('sends the token, the scheduler, the schedule and its slot, with a timeout of 55 s', async () => {
    await create({ schedule: '*/5 * * * *' });
    const called = await call('dm-queue', '2026-11-23T10:06:40Z');
    expect(called).toEqual({ name: 'dm-queue', via: 'pg_net', request: 1 });
    const all = { 'Content-Type': 'application/json', ...headers, ...sentAtFive };
    const request = { id: 1, url: address, body: {}, timeout_milliseconds: 55_000, headers: all };
    expect(await requests()).toEqual([request]);
  });

  it('sends no slot and no schedule for a schedule of seconds, which has no grid', async () => {
    await create({ schedule: '10 seconds' });
    await call();
    expect((await requests())[0].headers).toEqual({ 'Content-Type': 'application/json', ...headers });
  });

  it('computes slots in pg_cron’s own time zone, and then sends no schedule, which would be read as UTC', async () => {
    await create({ schedule: '30 9 * * *' });
    await database.sql(
      `select set_config('cron.timezone', 'Asia/Kolkata', true), punctual.call_queue_worker('dm-queue', '2026-11-23T04:00:30Z')`,
    );
    const [request] = await requests();
    expect(request.headers).toMatchObject({ 'x-punctual-slot': '2026-11-23T04:00:00Z' });
    expect(request.headers).not.toHaveProperty('x-punctual-schedule');
  });

  it('uses pgsql-http if pg_net is gone', async () => {
    await enable(standInForHttp);
    expect(await create({ schedule: '*/5 * * * *' })).toMatchObject({ via: 'pg_net' });
    await database.sql('drop schema net cascade');
    const called = await call('dm-queue', '2026-11-23T10:06:40Z');
    expect(called).toEqual({ name: 'dm-queue', via: 'http', status: 200 });
    expect(await database.sql('select * from extensions.stand_in_calls')).toEqual([
      { method: 'POST', uri: address, timeout_ms: 55_000, headers: { ...headers, ...sentAtFive } },
    ]);
    expect(await listed()).toMatchObject([{ via: 'http', last_answer: { status: 200, error: null } }]);
  });

  it('fails over pgsql-http if the endpoint refuses, without the token in the error', async () => {
    await enableOnly(cron, standInForHttp, standInForVault);
    await create({ url: 'https://your.app/refuses' });
    const failed = await refusal(call());
    expect(failed).toMatchObject({
      message: 'the endpoint of the worker "dm-queue" answered 401',
      hint: expect.stringContaining('token'),
    });
    expect(JSON.stringify(failed)).not.toContain(secret);
    // pg_cron records a failed run like this.
    await database.sql(
      `insert into cron.job_run_details (jobid, status, return_message, start_time)
       select jobid, 'failed', 'ERROR:  ' || $1::text, now() from cron.job where jobname = 'dm-queue'`,
      [failed?.message],
    );
    expect(await listed()).toMatchObject([{ last_run: { status: 'failed' }, last_answer: { status: 401 } }]);
  });

  it('names the missing worker, token or extension', async () => {
    await create();
    expect(await refusal(call('dms'))).toEqual({
      code: 'PT404',
      message: 'there is no worker "dms"',
      hint: 'There are: dm-queue.',
    });
    await database.sql('delete from vault.secrets');
    const message = 'the token of the worker "dm-queue" is missing';
    expect(await refusal(call())).toMatchObject({ code: 'PT404', message });
    expect(await listed()).toMatchObject([{ token: null }]);
    await database.sql('drop schema net cascade');
    await expect(call()).rejects.toThrow('neither pg_net nor http');
  });
});

describe('list_queue_workers', () => {
  it('shows the last run and the last response, which reveals a wrong token', async () => {
    await create();
    await create({ name: 'prune', url: 'https://your.app/api/cron/prune', schedule: '17 3 * * *' });
    await call();
    await call();
    // The second request is still under way.
    await database.sql(
      `insert into net._http_response (id, status_code, content) values (1, 401, '${secret}')`,
    );
    await database.sql(
      `insert into cron.job_run_details (jobid, status, return_message, start_time)
       select jobid, s, 'SELECT 1', '2026-11-23T10:00:00Z'::timestamptz
         from cron.job, unnest(array['failed', 'succeeded']) s where jobname = 'dm-queue'`,
    );
    const list = await listed();
    expect(list).toEqual([
      {
        name: 'dm-queue',
        url: address,
        schedule: '* * * * *',
        owner: expect.any(String),
        active: true,
        via: 'pg_net',
        token: 'vault',
        last_run: { at: expect.stringContaining('2026-11-23'), status: 'succeeded', message: 'SELECT 1' },
        last_answer: { at: expect.any(String), status: 401, error: null },
      },
      expect.objectContaining({ name: 'prune', last_run: null, last_answer: null }),
    ]);
    expect(JSON.stringify(list)).not.toContain(secret);
    await database.sql(`insert into net._http_response (id, error_msg) values (2, 'Timeout was reached')`);
    expect((await listed())[0].last_answer).toMatchObject({ status: null, error: 'Timeout was reached' });
  });

  it('works without the extensions, and after a job was removed by hand', async () => {
    await create();
    await database.sql('delete from cron.job');
    expect(await listed()).toMatchObject([{ active: null, last_run: null }]);
    await removeStandIns(database);
    expect(await listed()).toMatchObject([{ active: null, via: null, token: null }]);
  });
});

describe('drop_queue_worker', () => {
  it('removes the job and the token, and with the last worker the clean-up job', async () => {
    await create({ name: 'one' });
    await create({ name: 'two' });
    expect(await drop('one')).toEqual({ name: 'one', dropped: true });
    expect(await jobs()).toMatchObject([{ jobname: 'punctual-clean-up' }, { jobname: 'two' }]);
    expect(await secrets()).toMatchObject([{ name: 'punctual-two' }]);
    const missing = { code: 'PT404', message: 'there is no worker "one"', hint: 'There are: two.' };
    expect(await refusal(drop('one'))).toEqual(missing);
    await drop('two');
    expect([await jobs(), await secrets(), await listed()]).toEqual([[], [], []]);
    expect(await refusal(drop('two'))).toMatchObject({ hint: 'There are no workers.' });
  });

  it('works without the extensions, and removes the token from the table', async () => {
    await enableOnly(cron, standInForPgNet);
    await create();
    await removeStandIns(database);
    await drop();
    expect([await tokens(), await listed()]).toEqual([[], []]);
  });
});

it('our job runs are deleted after 2 days, even of jobs that are gone, and no others are', async () => {
  await database.sql(
    `insert into cron.job_run_details (jobid, command, status, start_time, end_time)
     select 99, c, 'succeeded', t, t
       from unnest(array[49, 47]) h, lateral (select timestamptz '2026-11-23T10:00:00Z' - make_interval(hours => h) as t) x,
            unnest(array['select punctual.call_queue_worker(''gone'')', 'select punctual.prune_worker_runs()', 'vacuum', null]) c`,
  );
  // The server stopped before these runs started.
  await database.sql(
    `update cron.job_run_details set start_time = null, end_time = null, status = 'failed' where runid in (1, 5)`,
  );
  const prune = async () =>
    (await database.sql(`select punctual.prune_worker_runs('2026-11-23T10:00:00Z') as deleted`))[0].deleted;
  expect(await prune()).toBe(2);
  const left = await database.sql('select runid from cron.job_run_details order by 1');
  expect(left.map(({ runid }) => runid)).toEqual([3, 4, 5, 6, 7, 8]);
  expect(await prune()).toBe(0);
});
