import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startDevScheduler } from '../../lib/worker/dev-scheduler.ts';
import { perTest } from '../support/fixtures.ts';

const supabase = { SUPABASE_URL: 'https://production.supabase.co', SUPABASE_SECRET_KEY: 'sb_secret_1' };
const seen = perTest(() => ({ calls: [] as string[], logged: [] as string[] }));

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse('2030-01-15T12:00:30Z') });
  vi.stubGlobal('fetch', async (url: URL) => {
    seen.calls.push(url.pathname);
    return Response.json({});
  });
  vi.spyOn(console, 'log').mockImplementation((message: string) => void seen.logged.push(message));
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

/** Starts it with these variables. Lets some minutes pass. */
async function start(variables: Record<string, string>, minutes: number): Promise<void> {
  setEnv(variables);
  startDevScheduler({ baseUrl: 'http://127.0.0.1:3000' });
  await pass(minutes);
}
const pass = (minutes: number) => vi.advanceTimersByTimeAsync(minutes * 60_000);

describe('the scheduler of next dev', () => {
  it.each<[label: string, variables: Record<string, string>]>([
    ['the embedded database', {}],
    [
      'the embedded database, if STORE names it beside a Supabase project',
      { ...supabase, STORE: 'embedded' },
    ],
    ['a Supabase project with DEV_SCHEDULER=1', { ...supabase, DEV_SCHEDULER: '1' }],
  ])('ticks %s', async (_label, variables) => {
    await start(variables, 1);
    expect(seen.calls).toContain('/api/cron/dm-queue');
  });

  it('never ticks a Supabase project only because its variables were pulled, and says why', async () => {
    await start(supabase, 10);
    const why = expect.stringContaining('https://production.supabase.co. Set DEV_SCHEDULER=1');
    expect([seen.calls, seen.logged]).toEqual([[], [why]]);
  });

  it('reports each fault of the environment once, and starts when it is fixed', async () => {
    await start({ STORE: 'mysql', CRON_SECRET: '' }, 2);
    setEnv({ STORE: '' });
    await pass(2);
    const faults = [expect.stringContaining('STORE'), expect.stringContaining('CRON_SECRET is not set')];
    expect([seen.calls, seen.logged]).toEqual([[], faults]);
    setEnv({ CRON_SECRET: 's' });
    await pass(2);
    expect(seen.calls).toContain('/api/cron/dm-queue');
  });
});
