import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startDevScheduler } from '../../worker/dev-scheduler.ts';

const supabase = { SUPABASE_URL: 'https://production.supabase.co', SUPABASE_SECRET_KEY: 'sb_secret_1' };
const calls: string[] = [];
const logged: string[] = [];

beforeEach(() => {
  calls.length = 0;
  logged.length = 0;
  vi.useFakeTimers({ now: Date.parse('2030-01-15T12:00:30Z') });
  vi.stubGlobal('fetch', async (url: URL) => {
    calls.push(url.pathname);
    return Response.json({});
  });
  vi.spyOn(console, 'log').mockImplementation((message: string) => void logged.push(message));
  setEnv({ CRON_SECRET: 's', SUPABASE_URL: '', SUPABASE_SECRET_KEY: '', STORE: '', DEV_SCHEDULER: '' });
});
afterEach(() => {
  vi.clearAllTimers();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

function setEnv(variables: Record<string, string>): void {
  for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
}

const minutes = (count: number) => vi.advanceTimersByTimeAsync(count * 60_000);

describe('the scheduler of next dev', () => {
  it.each<[label: string, variables: Record<string, string>]>([
    ['the embedded database', {}],
    [
      'the embedded database, if STORE names it beside a Supabase project',
      { ...supabase, STORE: 'embedded' },
    ],
    ['a Supabase project with DEV_SCHEDULER=1', { ...supabase, DEV_SCHEDULER: '1' }],
  ])('ticks %s', async (_label, variables) => {
    setEnv(variables);
    startDevScheduler({ port: 3_000 });
    await minutes(1);
    expect(calls).toContain('/api/cron/dm-queue');
  });

  it('never ticks a Supabase project only because its variables were pulled, and says why', async () => {
    setEnv(supabase);
    startDevScheduler({ port: 3_000 });
    await minutes(10);
    expect(calls).toEqual([]);
    expect(logged).toEqual([expect.stringContaining('https://production.supabase.co. Set DEV_SCHEDULER=1')]);
  });

  it('reports each fault of the environment once, and starts when it is fixed', async () => {
    setEnv({ STORE: 'mysql', CRON_SECRET: '' });
    startDevScheduler({ port: 3_000 });
    await minutes(2);
    setEnv({ STORE: '' });
    await minutes(2);
    expect(calls).toEqual([]);
    expect(logged).toEqual([
      expect.stringContaining('STORE'),
      expect.stringContaining('CRON_SECRET is not set'),
    ]);
    setEnv({ CRON_SECRET: 's' });
    await minutes(2);
    expect(calls).toContain('/api/cron/dm-queue');
  });
});
