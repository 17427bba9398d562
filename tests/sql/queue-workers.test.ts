import { afterEach, describe, expect, it } from 'vitest';
import { testDatabase } from '../support/fixtures.ts';
import {
  addStandIns,
  removeStandIns,
  standInForHttp,
  standInForPgCron,
  standInForPgNet,
  standInForVault,
} from '../support/supabase-stand-ins.ts';

/*
 * pg_cron, pg_net, pgsql-http and Vault are stand-ins here. They record calls and data, and neither run nor encrypt anything.
 * tests/real/pg-cron.real.test.ts uses the real pg_cron.
 */

const ADDRESS = 'https://your.app/api/cron/dm-queue';
const TOKEN = 'the-secret-of-the-clocks';

const database = testDatabase({ own: true });
afterEach(() => removeStandIns(database));

const enable = (...standIns: string[]) => addStandIns(database, ...standIns);
const enableAll = () => enable(standInForPgCron('1.6'), standInForPgNet, standInForVault);

interface Options {
  name?: string | null;
  url?: string | null;
  token?: string | null;
  schedule?: string | null;
}
async function create({
  name = 'dm-queue',
  url = ADDRESS,
  token = TOKEN,
  schedule = '* * * * *',
}: Options = {}) {
  const text = 'select punctual.create_queue_worker($1, $2, $3, $4) as made';
  return (await database.sql(text, [name, url, token, schedule]))[0].made;
}
const call = async (name = 'dm-queue', now: string | null = null) =>
  (await database.sql('select punctual.call_queue_worker($1, $2) as called', [name, now]))[0].called;
const drop = (name: string) => database.sql('select punctual.drop_queue_worker($1) as dropped', [name]);
const listed = async () => (await database.sql('select punctual.list_queue_workers() as l'))[0].l;
const jobs = () => database.sql('select jobname, schedule, command from cron.job order by jobname');
/** The requests that pg_net received. */
const requests = () => database.sql('select * from net.http_request_queue order by id');
const tokens = () => database.sql('select name, token from punctual.queue_worker_tokens');
const secrets = () =>
  database.sql('select name, decrypted_secret as token from vault.decrypted_secrets order by name');

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => null,
    ({ message, code, hint }) => ({ message, code, hint }),
  );

const invalid: [input: string, options: Options, message: RegExp][] = [
  ['no name', { name: null }, /cannot be a worker's name/],
  ['a name with a quote', { name: `a'); --` }, /cannot be a worker's name/],
  ['a name in capitals', { name: 'Dm' }, /cannot be a worker's name/],
  ['a name of 61 letters', { name: 'a'.repeat(61) }, /cannot be a worker's name/],
  ['the name of the clean-up', { name: 'punctual-clean-up' }, /cannot be a worker's name/],
  ['no address', { url: null }, /p_url must begin with https/],
  ['an address without a host', { url: 'https:///x' }, /p_url must begin with https/],
  ['the address of a file', { url: 'file:///etc/passwd' }, /p_url must begin with https/],
  ['an address with a password', { url: 'https://u:pass-word@your.app/' }, /p_url has a user or a password/],
  ['an address with a space', { url: 'https://your.app/a b' }, /p_url has white space/],
  ['an address of two lines', { url: 'https://your.app/\nX: y' }, /p_url has white space/],
  ['a backslash in the address', { url: 'https://your.app\\@evil.test/' }, /p_url has white space/],
  ['http to a public host', { url: 'http://your.app/' }, /p_url .*plain http/],
  [
    'http to a host that begins like a private address',
    { url: 'http://10.0.0.1.evil.test/' },
    /p_url .*plain http/,
  ],
  ['http to a number', { url: 'http://134744072/' }, /p_url .*plain http/],
  ['http to a public address', { url: 'http://172.32.0.1/' }, /p_url .*plain http/],
  ['an empty token', { token: '' }, /p_token is empty/],
  ['a token of two lines', { token: 'one-line\nX-Other: x' }, /p_token is empty, or has/],
  ['a token with a space', { token: 'two words' }, /p_token is empty, or has/],
  ['a token that is not ASCII', { token: 'schlüssel' }, /p_token is empty, or has/],
  ['no token, and none stored', { token: null }, /"dm-queue" has no token yet/],
  ['no schedule', { schedule: null }, /is not a valid schedule/],
  ['four fields', { schedule: '* * * *' }, /"\* \* \* \*" is not a valid schedule/],
  ['six fields', { schedule: '0 * * * * *' }, /is not a valid schedule/],
  ['a word', { schedule: '@hourly' }, /is not a valid schedule/],
  ['zero seconds', { schedule: '0 seconds' }, /is not a valid schedule/],
  ['sixty seconds', { schedule: '60 seconds' }, /is not a valid schedule/],
  ['a schedule with a quote', { schedule: `* * * * '` }, /is not a valid schedule/],
];

describe('create_queue_worker', () => {
  it('creates a job whose command holds only the worker’s name, and a clean-up job', async () => {
    await enableAll();
    expect(await create()).toEqual({
      name: 'dm-queue',
      url: ADDRESS,
      schedule: '* * * * *',
      active: true,
      via: 'pg_net',
      token: 'vault',
    });
    expect(await jobs()).toEqual([
      {
        jobname: 'dm-queue',
        schedule: '* * * * *',
        command: `select punctual.call_queue_worker('dm-queue')`,
      },
      {
        jobname: 'punctual-clean-up',
        schedule: '43 3 * * *',
        command: 'select punctual.prune_worker_runs()',
      },
    ]);
  });

  it('stores the token in Vault and nowhere else', async () => {
    await enableAll();
    const worker = await create();
    expect(await secrets()).toEqual([{ name: 'punctual-dm-queue', token: TOKEN }]);
    const outputs = [worker, await jobs(), await listed(), await tokens()];
    outputs.push(await database.sql('select * from punctual.queue_workers'));
    expect(JSON.stringify(outputs)).not.toContain(TOKEN);
  });

  it('stores the token in a table of the owner if there is no Vault, and moves it once there is one', async () => {
    await enable(standInForPgCron('1.6'), standInForPgNet);
    const made = await create();
    expect(made).toMatchObject({ token: 'table' });
    expect(await tokens()).toEqual([{ name: 'dm-queue', token: TOKEN }]);
    expect(JSON.stringify([made, await jobs(), await listed()])).not.toContain(TOKEN);
    await call();
    expect(await requests()).toMatchObject([{ headers: { Authorization: `Bearer ${TOKEN}` } }]);

    await enable(standInForVault);
    expect(await create({ token: null })).toMatchObject({ token: 'vault' });
    expect(await tokens()).toEqual([]);
    expect(await secrets()).toEqual([{ name: 'punctual-dm-queue', token: TOKEN }]);
  });

  it('changes an existing worker: its address, its schedule, and its token if one is given', async () => {
    await enableAll();
    await create();
    const url = 'https://new.app/api/cron/dm-queue';
    expect(await create({ url, token: null, schedule: ' */5  * * * * ' })).toMatchObject({
      url,
      schedule: '*/5 * * * *',
    });
    await call();
    await create({ url, token: 'another-one' });
    await call();
    expect(await requests()).toMatchObject([
      { url, headers: { Authorization: `Bearer ${TOKEN}` } },
      { url, headers: { Authorization: 'Bearer another-one' } },
    ]);
    expect(await secrets()).toHaveLength(1);
    expect(await jobs()).toHaveLength(2);
  });

  it('leaves a paused job paused, and says so', async () => {
    await enableAll();
    await create();
    await database.sql(`update cron.job set active = false where jobname = 'dm-queue'`);
    expect(await create()).toMatchObject({ active: false });
    expect(await listed()).toMatchObject([{ active: false }]);
  });

  it('takes over a leftover secret of its name in Vault', async () => {
    await enableAll();
    await database.sql(`select vault.create_secret('left over', 'punctual-dm-queue', '')`);
    await create();
    expect(await secrets()).toEqual([{ name: 'punctual-dm-queue', token: TOKEN }]);
  });

  it('accepts a schedule of seconds from pg_cron 1.5 on, and suggests minutes before that', async () => {
    await enableAll();
    expect(await create({ schedule: '10 seconds' })).toMatchObject({ schedule: '10 seconds' });
    expect((await jobs())[0].schedule).toBe('10 seconds');
    await database.sql(`select punctual.drop_queue_worker('dm-queue')`);
    await removeStandIns(database);
    await enable(standInForPgCron('1.4-1'), standInForPgNet, standInForVault);
    expect(await refusal(create({ schedule: '10 seconds' }))).toEqual({
      code: '0A000',
      message: 'create_queue_worker: pg_cron 1.4 has no schedules of seconds, only of minutes',
      hint: expect.stringContaining('* * * * *'),
    });
    expect(await listed()).toEqual([]);
  });

  it('refuses another role’s worker, because a second job would call beside the first', async () => {
    await enableAll();
    await create();
    await database.sql(`update punctual.queue_workers set owner = 'service_role'`);
    for (const call of [create(), drop('dm-queue')]) {
      expect(await refusal(call)).toMatchObject({
        code: 'PT409',
        hint: expect.stringContaining('set role'),
      });
    }
    expect(await jobs()).toHaveLength(2);
  });

  it('refuses invalid input, creates nothing, and repeats no secret', async () => {
    await enableAll();
    for (const [input, options, message] of invalid) {
      const refused = await refusal(create(options));
      expect({ input, ...refused }).toMatchObject({
        input,
        code: '22023',
        message: expect.stringMatching(message),
      });
      for (const secret of [options.token, TOKEN, 'pass-word']) {
        if (secret) expect(JSON.stringify(refused)).not.toContain(secret);
      }
    }
    expect([await listed(), await jobs(), await secrets()]).toEqual([[], [], []]);
  });

  it('accepts plain http within the machine or its network', async () => {
    await enableAll();
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
    ]) {
      expect(await create({ url })).toMatchObject({ url });
    }
  });

  it('names the extension to enable', async () => {
    expect(await refusal(create())).toMatchObject({
      code: '0A000',
      message: 'the extension pg_cron is not turned on',
      hint: expect.stringContaining('create extension pg_cron'),
    });
    await enable(standInForPgCron('1.6'));
    expect(await refusal(create())).toMatchObject({
      code: '0A000',
      message: expect.stringContaining('neither pg_net nor http'),
      hint: expect.stringContaining('create extension pg_net'),
    });
    expect(await listed()).toEqual([]);
  });

  it('never hands the token to a function of an ordinary role in place of an extension’s', async () => {
    await enable(standInForPgCron('1.6'), standInForHttp);
    await database.sql('alter function extensions.http(extensions.http_request) owner to anon');
    expect(await refusal(create())).toMatchObject({
      message: expect.stringContaining('neither pg_net nor http'),
    });
  });
});

describe('call_queue_worker', () => {
  it('sends the token, the scheduler, the schedule and its slot, with a timeout of 55 s', async () => {
    await enableAll();
    await create({ schedule: '*/5 * * * *' });
    expect(await call('dm-queue', '2026-11-23T10:06:40Z')).toEqual({
      name: 'dm-queue',
      via: 'pg_net',
      request: 1,
    });
    expect(await requests()).toEqual([
      {
        id: 1,
        url: ADDRESS,
        body: {},
        timeout_milliseconds: 55_000,
        headers: {
          Authorization: `Bearer ${TOKEN}`,
          'Content-Type': 'application/json',
          'x-punctual-scheduler': 'pg-cron',
          'x-punctual-schedule': '*/5 * * * *',
          'x-punctual-slot': '2026-11-23T10:05:00Z',
        },
      },
    ]);
  });

  it('sends no slot and no schedule for a schedule of seconds, which has no grid', async () => {
    await enableAll();
    await create({ schedule: '10 seconds' });
    await call();
    expect(Object.keys((await requests())[0].headers).sort()).toEqual([
      'Authorization',
      'Content-Type',
      'x-punctual-scheduler',
    ]);
  });

  it('computes slots in pg_cron’s own time zone, and then sends no schedule, which would be read as UTC', async () => {
    await enableAll();
    await create({ schedule: '30 9 * * *' });
    await database.sql(
      `select set_config('cron.timezone', 'Asia/Kolkata', true), punctual.call_queue_worker('dm-queue', '2026-11-23T04:00:30Z')`,
    );
    const [{ headers }] = await requests();
    expect(headers).toMatchObject({ 'x-punctual-slot': '2026-11-23T04:00:00Z' });
    expect(headers).not.toHaveProperty('x-punctual-schedule');
  });

  it('uses pgsql-http if pg_net is gone', async () => {
    await enableAll();
    await enable(standInForHttp);
    expect(await create()).toMatchObject({ via: 'pg_net' });
    await database.sql('drop schema net cascade');
    expect(await call('dm-queue', '2026-11-23T10:06:40Z')).toEqual({
      name: 'dm-queue',
      via: 'http',
      status: 200,
    });
    expect(await database.sql('select * from extensions.stand_in_calls')).toEqual([
      {
        method: 'POST',
        uri: ADDRESS,
        timeout_ms: 55_000,
        headers: {
          Authorization: `Bearer ${TOKEN}`,
          'x-punctual-scheduler': 'pg-cron',
          'x-punctual-schedule': '* * * * *',
          'x-punctual-slot': '2026-11-23T10:06:00Z',
        },
      },
    ]);
    expect(await listed()).toMatchObject([{ via: 'http', last_answer: { status: 200, error: null } }]);
  });

  it('fails over pgsql-http if the endpoint refuses, without the token in the error', async () => {
    await enable(standInForPgCron('1.6'), standInForHttp, standInForVault);
    await create({ url: 'https://your.app/refuses' });
    const failed = await refusal(call());
    expect(failed).toMatchObject({
      message: 'the endpoint of the worker "dm-queue" answered 401',
      hint: expect.stringContaining('token'),
    });
    expect(JSON.stringify(failed)).not.toContain(TOKEN);
    // pg_cron records a failed run like this.
    await database.sql(
      `insert into cron.job_run_details (jobid, status, return_message, start_time)
       select jobid, 'failed', 'ERROR:  ' || $1::text, now() from cron.job where jobname = 'dm-queue'`,
      [failed?.message],
    );
    expect(await listed()).toMatchObject([{ last_run: { status: 'failed' }, last_answer: { status: 401 } }]);
  });

  it('names the missing worker, token or extension', async () => {
    await enableAll();
    await create();
    expect(await refusal(call('dms'))).toEqual({
      code: 'PT404',
      message: 'there is no worker "dms"',
      hint: 'There are: dm-queue.',
    });
    await database.sql('delete from vault.secrets');
    expect(await refusal(call())).toMatchObject({
      code: 'PT404',
      message: 'the token of the worker "dm-queue" is missing',
    });
    expect(await listed()).toMatchObject([{ token: null }]);
    await database.sql('drop schema net cascade');
    expect(await refusal(call())).toMatchObject({
      message: expect.stringContaining('neither pg_net nor http'),
    });
  });
});

describe('list_queue_workers', () => {
  it('shows the last run and the last response, which reveals a wrong token', async () => {
    await enableAll();
    await create();
    await create({ name: 'prune', url: 'https://your.app/api/cron/prune', schedule: '17 3 * * *' });
    await call();
    await call();
    // The second request is still under way.
    await database.sql('insert into net._http_response (id, status_code, content) values (1, 401, $1)', [
      TOKEN,
    ]);
    await database.sql(
      `insert into cron.job_run_details (jobid, status, return_message, start_time)
       select jobid, s, 'SELECT 1', '2026-11-23T10:00:00Z'::timestamptz
         from cron.job, unnest(array['failed', 'succeeded']) s where jobname = 'dm-queue'`,
    );
    const list = await listed();
    expect(list).toEqual([
      {
        name: 'dm-queue',
        url: ADDRESS,
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
    expect(JSON.stringify(list)).not.toContain(TOKEN);
    await database.sql(`insert into net._http_response (id, error_msg) values (2, 'Timeout was reached')`);
    expect((await listed())[0].last_answer).toMatchObject({ status: null, error: 'Timeout was reached' });
  });

  it('works without the extensions, and after a job was removed by hand', async () => {
    await enableAll();
    await create();
    await database.sql('delete from cron.job');
    expect(await listed()).toMatchObject([{ active: null, last_run: null }]);
    await removeStandIns(database);
    expect(await listed()).toMatchObject([{ active: null, via: null, token: null }]);
  });
});

describe('drop_queue_worker', () => {
  it('removes the job and the token, and with the last worker the clean-up job', async () => {
    await enableAll();
    await create({ name: 'one' });
    await create({ name: 'two' });
    expect(await drop('one')).toEqual([{ dropped: { name: 'one', dropped: true } }]);
    expect((await jobs()).map(({ jobname }) => jobname)).toEqual(['punctual-clean-up', 'two']);
    expect(await secrets()).toMatchObject([{ name: 'punctual-two' }]);
    expect(await refusal(drop('one'))).toEqual({
      code: 'PT404',
      message: 'there is no worker "one"',
      hint: 'There are: two.',
    });
    await drop('two');
    expect([await jobs(), await secrets(), await listed()]).toEqual([[], [], []]);
    expect(await refusal(drop('two'))).toMatchObject({ hint: 'There are no workers.' });
  });

  it('works without the extensions, and removes the token from the table', async () => {
    await enable(standInForPgCron('1.6'), standInForPgNet);
    await create();
    await removeStandIns(database);
    await drop('dm-queue');
    expect([await tokens(), await listed()]).toEqual([[], []]);
  });
});

describe('the calls of the requirements, verbatim', () => {
  const url = 'https://app.relay.club/api/jobs/run';

  it('create workers without naming the schema, and pg_cron unschedules them by name', async () => {
    await enableAll();
    for (const sql of [
      `SELECT create_queue_worker('worker-default-1', '${url}', '123ABC', '* * * * *')`,
      `SELECT create_queue_worker('worker-outreach-failed-1', '${url}?queue=outreach&status=failed', '123ABC', '* * * * *')`,
      `SELECT create_queue_worker('sequence_send', '${url}?queue=sequence_send', '123ABC', '* * * * *')`,
      `SELECT cron.schedule('cleanup-cron-details', '0 0 * * *', $$ DELETE FROM cron.job_run_details WHERE end_time < now() - interval '7 days' $$)`,
    ])
      await database.sql(sql);
    const names = async () => (await jobs()).map(({ jobname }) => jobname).sort();
    const others = ['cleanup-cron-details', 'punctual-clean-up', 'sequence_send'];
    expect(await names()).toEqual([...others, 'worker-default-1', 'worker-outreach-failed-1']);
    await database.sql(`SELECT cron.unschedule('worker-default-1')`);
    expect(await names()).toEqual([...others, 'worker-outreach-failed-1']);
    expect(await listed()).toContainEqual(
      expect.objectContaining({ name: 'worker-default-1', active: null }),
    );
    expect(await refusal(create({ name: 'cleanup-cron-details' }))).toMatchObject({ code: '23505' });
  });

  it.each(['anon', 'authenticated', 'service_role'])('are not open to %s', async (role) => {
    const [{ may }] = await database.sql(
      `select has_function_privilege($1, 'public.create_queue_worker(text, text, text, text)', 'execute') as may`,
      [role],
    );
    expect(may).toBe(false);
  });
});

describe('punctual_install_schedules', () => {
  const install = async (base = 'https://your.app/', token: string | null = TOKEN) =>
    (await database.sql('select punctual.punctual_install_schedules($1, $2) as i', [base, token]))[0].i;
  const entries = async () =>
    (await listed()).map(({ name, url, schedule }: Record<string, string>) => [name, url, schedule]);

  it('creates a worker for each queue and each other endpoint of vercel.json, but none for regions', async () => {
    await enableAll();
    const { workers, regions_left_out } = await install();
    expect(await entries()).toEqual([
      ['punctual-analytics', 'https://your.app/api/cron/analytics', '23 2 * * *'],
      ['punctual-dm-queue', 'https://your.app/api/cron/dm-queue', '* * * * *'],
      ['punctual-enrolments', 'https://your.app/api/cron/enrolments', '* * * * *'],
      ['punctual-jobs', 'https://your.app/api/cron/jobs', '* * * * *'],
      ['punctual-monitors', 'https://your.app/api/cron/monitors', '* * * * *'],
      ['punctual-posts', 'https://your.app/api/cron/posts', '* * * * *'],
      ['punctual-prune', 'https://your.app/api/cron/prune', '17 3 * * *'],
      ['punctual-reconcile', 'https://your.app/api/cron/reconcile', '*/5 * * * *'],
    ]);
    expect(workers).toHaveLength(8);
    expect(regions_left_out).toEqual(['fra1', 'sin1']);
    expect(await jobs()).toHaveLength(9);
    expect(await secrets()).toHaveLength(8);
  });

  it('covers the endpoints of vercel.json, except regions and queues that are not registered', async () => {
    const { default: vercel } = await import('../../vercel.json');
    await enableAll();
    await install('https://your.app');
    const made = (await entries()).map(([, url, schedule]: string[]) => `${url} ${schedule}`);
    const wanted = vercel.crons.map(({ path, schedule }) => `https://your.app${path} ${schedule}`);
    expect(made.sort()).toEqual(wanted.filter((one) => !/pgmq|fra1|sin1/.test(one)).sort());
  });

  it('run again adds new queues, sets the new address and token, and keeps a changed schedule', async () => {
    await enableAll();
    await install();
    await create({ name: 'punctual-dm-queue', schedule: '10 seconds' });
    await database.sql('create table public.free_trials (id bigint primary key, ends_at timestamptz)');
    try {
      await database.sql(
        `select punctual.add_queue('free_trials', 'public.free_trials', 'ends_at', p_delivery => 'at-least-once')`,
      );
      await install('https://new.app/base', 'a-newer-one');
      const all = await entries();
      expect(all).toContainEqual([
        'punctual-free-trials',
        'https://new.app/base/api/cron/free-trials',
        '* * * * *',
      ]);
      expect(all).toContainEqual([
        'punctual-dm-queue',
        'https://new.app/base/api/cron/dm-queue',
        '10 seconds',
      ]);
      expect(new Set((await secrets()).map(({ token }) => token))).toEqual(new Set(['a-newer-one']));
      expect(await jobs()).toHaveLength(10);
    } finally {
      await database.sql('drop table public.free_trials');
    }
  });

  it('is refused as a whole if one worker cannot be created', async () => {
    await enableAll();
    for (const base of ['http://your.app', 'https://your.app/?x=', 'your.app', 'https://your.app/#']) {
      expect(await refusal(install(base))).toMatchObject({ message: expect.stringContaining('p_base_url') });
    }
    expect(await refusal(install('https://your.app', null))).toMatchObject({
      message: expect.stringContaining('has no token yet'),
    });
    expect([await listed(), await jobs()]).toEqual([[], []]);
  });

  it('is undone by punctual_remove_schedules, which also removes workers created singly', async () => {
    await enableAll();
    await install();
    await create({ name: 'monitors-fra1', url: 'https://your.app/api/cron/monitors/fra1' });
    const [{ r }] = await database.sql('select punctual.punctual_remove_schedules() as r');
    expect(r.removed).toHaveLength(9);
    expect([await listed(), await jobs(), await secrets()]).toEqual([[], [], []]);
  });
});

it('our job runs are deleted after 2 days, even of jobs that are gone, and no others are', async () => {
  await enableAll();
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
  expect(
    (await database.sql('select runid from cron.job_run_details order by 1')).map(({ runid }) => runid),
  ).toEqual([3, 4, 5, 6, 7, 8]);
  expect(await prune()).toBe(0);
});
