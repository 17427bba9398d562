import { describe, expect, it } from 'vitest';
import { queueWorkers, secret } from '../support/queue-workers.ts';

const { database, enable, create, listed, jobs, secrets } = queueWorkers();

describe('punctual_install_schedules', () => {
  const install = async (base = 'https://your.app/', token: string | null = secret) =>
    (await database.sql('select punctual.punctual_install_schedules($1, $2) as i', [base, token]))[0].i;
  const entries = async () =>
    (await listed()).map(({ name, url, schedule }: Record<string, string>) => [name, url, schedule]);

  it('creates a worker for each endpoint of vercel.json, but none for regions and queues that are not registered', async () => {
    const { default: vercel } = await import('../../vercel.json');
    const { workers, regions_left_out } = await install();
    const wanted = vercel.crons
      .filter(({ path }) => !/pgmq|fra1|sin1/.test(path))
      .map(({ path, schedule }) => [
        path.replace('/api/cron/', 'punctual-'),
        `https://your.app${path}`,
        schedule,
      ]);
    expect(await entries()).toEqual(wanted.sort());
    expect(regions_left_out).toEqual(['fra1', 'sin1']);
    expect([workers, await jobs(), await secrets()]).toMatchObject([
      { length: 8 },
      { length: 9 },
      { length: 8 },
    ]);
  });

  it('run again adds new queues, sets the new address and token, and keeps a changed schedule', async () => {
    await install();
    await create({ name: 'punctual-dm-queue', schedule: '10 seconds' });
    await database.sql('create table public.free_trials (id bigint primary key, ends_at timestamptz)');
    try {
      await database.sql(
        `select punctual.add_queue('free_trials', 'public.free_trials', 'ends_at', p_delivery => 'at-least-once')`,
      );
      const base = 'https://new.app/base';
      await install(base, 'a-newer-one');
      const all = await entries();
      expect(all).toHaveLength(9);
      expect(all).toContainEqual(['punctual-free-trials', `${base}/api/cron/free-trials`, '* * * * *']);
      expect(all).toContainEqual(['punctual-dm-queue', `${base}/api/cron/dm-queue`, '10 seconds']);
      expect(new Set((await secrets()).map(({ token }) => token))).toEqual(new Set(['a-newer-one']));
    } finally {
      await database.sql('drop table public.free_trials');
    }
  });

  it('is refused as a whole if one worker cannot be created', async () => {
    for (const base of ['http://your.app', 'https://your.app/?x=', 'your.app', 'https://your.app/#'])
      await expect(install(base)).rejects.toThrow('p_base_url');
    await expect(install('https://your.app', null)).rejects.toThrow('has no token yet');
    expect([await listed(), await jobs()]).toEqual([[], []]);
  });

  it('is undone by punctual_remove_schedules, which also removes workers created singly', async () => {
    await install();
    await create({ name: 'monitors-fra1', url: 'https://your.app/api/cron/monitors/fra1' });
    const [{ r }] = await database.sql('select punctual.punctual_remove_schedules() as r');
    expect(r.removed).toHaveLength(9);
    expect([await listed(), await jobs(), await secrets()]).toEqual([[], [], []]);
  });
});

describe('the calls of the requirements, verbatim', () => {
  const jobNames = async () => (await jobs()).map(({ jobname }) => jobname).sort();
  const url = 'https://app.relay.club/api/jobs/run';

  it('create workers without naming the schema, and pg_cron unschedules them by name', async () => {
    await enable(
      `SELECT create_queue_worker('worker-default-1', '${url}', '123ABC', '* * * * *')`,
      `SELECT create_queue_worker('worker-outreach-failed-1', '${url}?queue=outreach&status=failed', '123ABC', '* * * * *')`,
      `SELECT create_queue_worker('sequence_send', '${url}?queue=sequence_send', '123ABC', '* * * * *')`,
      `SELECT cron.schedule('cleanup-cron-details', '0 0 * * *', $$ DELETE FROM cron.job_run_details WHERE end_time < now() - interval '7 days' $$)`,
    );
    const others = ['cleanup-cron-details', 'punctual-clean-up', 'sequence_send'];
    expect(await jobNames()).toEqual([...others, 'worker-default-1', 'worker-outreach-failed-1']);
    await database.sql(`SELECT cron.unschedule('worker-default-1')`);
    expect(await jobNames()).toEqual([...others, 'worker-outreach-failed-1']);
    const unscheduled = expect.objectContaining({ name: 'worker-default-1', active: null });
    expect(await listed()).toContainEqual(unscheduled);
    await expect(create({ name: 'cleanup-cron-details' })).rejects.toMatchObject({ code: '23505' });
  });

  it('are open to none of anon, authenticated and service_role', async () => {
    const roles = await database.sql(
      `select r from unnest('{anon, authenticated, service_role}'::text[]) r
        where has_function_privilege(r, 'public.create_queue_worker(text, text, text, text)', 'execute')`,
    );
    expect(roles).toEqual([]);
  });
});
