import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { startPathLoop, type TickRequest } from '../../lib/worker/path-loop.ts';

type Call = TickRequest & { continuation: number; runId: string };

const request: TickRequest = { scheduler: 'vercel', path: '/api/trigger/jobs', slot: null, schedule: null };

/**
 * Starts a loop under a virtual clock at 12:00:10. Each call takes `takesMs`. The first calls throw the errors of `fails`. The `continuations` calls
 * after them leave due rows.
 */
function bench(options: {
  until: string;
  schedule?: string;
  everyMs?: number;
  takesMs?: number;
  continuations?: number;
  /** In how many milliseconds a row falls due after each of the first calls. */
  dueIn?: number[];
  fails?: unknown[];
}) {
  const clock = new VirtualClock('2026-03-02T12:00:10Z');
  const stop = new AbortController();
  clock.timer(Date.parse(`2026-03-02T${options.until}Z`) - clock.now(), () => stop.abort());
  const calls: (Call & { at: string })[] = [];
  const faults: string[] = [];
  let continuations = options.continuations ?? 0;
  const fails = [...(options.fails ?? [])];
  const dueIn = [...(options.dueIn ?? [])];
  const loop = startPathLoop({
    entry: { path: '/api/cron/jobs', schedule: options.schedule ?? '* * * * *' },
    everyMs: options.everyMs,
    scheduler: 'worker',
    signal: stop.signal,
    now: () => clock.now(),
    sleep: (ms, signal) =>
      new Promise<void>((resolve) => {
        const cancel = clock.timer(ms, resolve);
        signal.addEventListener('abort', () => {
          cancel();
          resolve();
        });
      }),
    async call(call) {
      calls.push({ ...call, at: clock.date().toISOString().slice(11, 19) });
      await new Promise<void>((resolve) => void clock.timer(options.takesMs ?? 100, resolve));
      if (fails.length > 0) throw fails.shift();
      return { hasMore: continuations-- > 0, nextDueInMs: dueIn.shift() ?? null };
    },
    onFault: (error) => faults.push((error as Error).message),
    onRecovered: () => faults.push('over'),
  });
  return { calls, faults, loop, clock, stop, ended: () => clock.run(loop.ended) };
}

/** `12:01:30 for 12:01:00 +1`: the time of a call, its slot and its continuation, if it has them. */
const summary = (calls: (Call & { at: string })[]) =>
  calls.map(({ at, slot, continuation }) =>
    [at, slot && `for ${slot.slice(11, 19)}`, continuation > 0 && `+${continuation}`]
      .filter(Boolean)
      .join(' '),
  );
const outages = (count: number) => Array.from({ length: count }, () => new Error('the database is away'));
const runIds = (calls: Call[]) => new Set(calls.map(({ runId }) => runId)).size;

describe('the loop of a path', () => {
  it('calls once at its start, without a slot, and then at each slot', async () => {
    const { calls, ended } = bench({ until: '12:02:30' });
    await ended();
    expect(summary(calls)).toEqual(['12:00:10', '12:01:00 for 12:01:00', '12:02:00 for 12:02:00']);
    expect(calls[1]).toMatchObject({ scheduler: 'worker', path: '/api/cron/jobs', schedule: '* * * * *' });
    expect(calls[0]?.schedule).toBeNull();
    expect(runIds(calls)).toBe(3);
  });

  it('calls without a slot when the next row falls due, unless a slot comes before', async () => {
    const { calls, ended } = bench({ until: '12:02:30', dueIn: [7_000, 4_000, 80_000, 1] });
    await ended();
    expect(summary(calls)).toEqual([
      '12:00:10',
      '12:00:17',
      '12:00:21',
      '12:01:00 for 12:01:00',
      '12:01:01',
      '12:02:00 for 12:02:00',
    ]);
    const daily = bench({ until: '12:40:00', schedule: '30 12 * * *', dueIn: [1_000] });
    daily.clock.timer(5_000, () => daily.loop.nudge());
    await daily.ended();
    expect(summary(daily.calls)).toEqual(['12:30:00 for 12:30:00']);
  });

  it('makes one call for any number of nudges, also after a call that was running', async () => {
    const { calls, clock, loop, ended } = bench({ until: '12:00:40', takesMs: 2_000 });
    const nudge = () => {
      for (let n = 0; n < 30; n++) loop.nudge();
    };
    clock.timer(5_000, nudge);
    clock.timer(6_000, nudge);
    await ended();
    expect(summary(calls)).toEqual(['12:00:10', '12:00:15', '12:00:17']);
  });

  it('calls for nudges twenty times a second at most, and for rows that fall due once', async () => {
    const { calls, clock, loop, ended } = bench({ until: '12:00:16', takesMs: 10, dueIn: [1, 1, 1] });
    for (let ms = 5_000; ms < 6_000; ms += 20) clock.timer(ms, () => loop.nudge());
    await ended();
    const second = (at: string) => calls.filter((call) => call.at === at).length;
    // Rows were due at the start, and twice more.
    expect(['12:00:10', '12:00:11', '12:00:12', '12:00:13'].map(second)).toEqual([1, 1, 1, 1]);
    expect(second('12:00:15')).toBeLessThanOrEqual(20);
    expect(second('12:00:15')).toBeGreaterThan(10);
  });

  it('waits for its slot if it is due less than hourly', async () => {
    const { calls, ended } = bench({ until: '12:40:00', schedule: '30 12 * * *' });
    await ended();
    expect(summary(calls)).toEqual(['12:30:00 for 12:30:00']);
  });

  it('starts continuations back-to-back while rows are due, with the run id of the first call', async () => {
    const { calls, ended } = bench({ until: '12:01:30', continuations: 3 });
    await ended();
    const run = ['12:00:10', '12:00:10 +1', '12:00:10 +2', '12:00:10 +3'];
    expect(summary(calls)).toEqual([...run, '12:01:00 for 12:01:00']);
    expect(runIds(calls.slice(0, 4))).toBe(1);
  });

  it('gives a slot that falls due during a call to the next call, and of several slots the latest', async () => {
    const { calls, ended } = bench({ until: '12:05:00', continuations: 100, takesMs: 80_000 });
    await ended();
    const late = ['12:01:30 for 12:01:00', '12:02:50 for 12:02:00', '12:04:10 for 12:04:00'];
    expect(summary(calls)).toEqual(['12:00:10', ...late]);
  });

  it('follows an interval of its own, and names it as a schedule', async () => {
    const { calls, ended } = bench({ until: '12:00:22', everyMs: 5_000 });
    await ended();
    expect(summary(calls).slice(1)).toEqual(['12:00:15 for 12:00:15', '12:00:20 for 12:00:20']);
    expect(calls[1]?.schedule).toBe('*/5 * * * * *');
  });

  it('repeats a failed call as the same continuation after growing pauses, and reports the fault and the recovery once', async () => {
    const { calls, faults, ended } = bench({ until: '12:00:40', fails: outages(3) });
    await ended();
    expect(summary(calls)).toEqual(['12:00:10', '12:00:11', '12:00:13', '12:00:17']);
    expect(runIds(calls)).toBe(1);
    expect(faults).toEqual(['the database is away', 'over']);
  });

  it('gives a slot that falls due while calls fail to the next call', async () => {
    const { calls, faults, loop, clock, ended } = bench({ until: '12:04:40', fails: outages(8) });
    const since: (number | null)[] = [];
    for (const second of [1, 100, 220]) clock.timer(second * 1_000, () => since.push(loop.dueSince()));
    await ended();
    expect(summary(calls).slice(4)).toEqual([
      '12:00:25',
      '12:00:41',
      '12:01:13 for 12:01:00',
      '12:02:13 for 12:02:00',
      '12:03:13 for 12:03:00',
      '12:04:00 for 12:04:00',
    ]);
    expect(faults).toEqual(['the database is away', 'over']);
    const startedAt = Date.parse('2026-03-02T12:00:10Z');
    expect(since).toEqual([startedAt, startedAt, null]);
  });

  it('leaves the tick to the waker if the latest call failed, and accepts it again after a success', async () => {
    const { calls, loop, clock, ended } = bench({ until: '12:00:20', fails: outages(2) });
    const states: string[] = [];
    for (const second of [0.5, 2, 5]) clock.timer(second * 1_000, () => states.push(loop.wake(request)));
    await ended();
    expect(states).toEqual(['failing', 'failing', 'started']);
    expect(summary(calls)).toEqual(['12:00:10', '12:00:11', '12:00:13', '12:00:15']);
    expect(calls.map(({ scheduler }) => scheduler)).toEqual(['worker', 'worker', 'worker', 'vercel']);
  });

  /** Wakes the loop at this second. Returns what it says. */
  async function wokenAt(second: number, run: ReturnType<typeof bench>, slot: string | null = null) {
    let state: string | undefined;
    run.clock.timer(second * 1_000, () => {
      state = run.loop.wake({ ...request, slot });
    });
    await run.ended();
    return state;
  }

  it('waits for the next slot if a setting is missing, and leaves the tick to the waker', async () => {
    const unset = Object.assign(new Error('set UNIPILE_DSN'), { kind: 'not_configured' });
    const run = bench({ until: '12:00:40', fails: [unset] });
    expect(await wokenAt(5, run)).toBe('not_configured');
    expect(summary(run.calls)).toEqual(['12:00:10']);
    expect(run.loop.latest()).toMatchObject({ state: 'not_configured' });
  });

  it('calls at once if it is woken while it waits, with the scheduler, path and slot of the waker', async () => {
    const run = bench({ until: '12:00:50' });
    expect(await wokenAt(20, run, '2026-03-02T12:00:00.000Z')).toBe('started');
    expect(summary(run.calls)).toEqual(['12:00:10', '12:00:30 for 12:00:00']);
    expect(run.calls[1]).toMatchObject({ scheduler: 'vercel', path: '/api/trigger/jobs' });
  });

  it('calls once more if it is woken during a call, in place of the continuation', async () => {
    const run = bench({ until: '12:00:50', takesMs: 10_000, continuations: 1 });
    expect(await wokenAt(5, run)).toBe('running');
    expect(summary(run.calls)).toEqual(['12:00:10', '12:00:20']);
    expect(run.calls.map(({ scheduler }) => scheduler)).toEqual(['worker', 'vercel']);
  });

  it('ends after the running call, and starts no continuation', async () => {
    const { calls, clock, ended } = bench({ until: '12:00:12', takesMs: 5_000, continuations: 9 });
    await ended();
    expect(calls).toHaveLength(1);
    expect(clock.date().toISOString()).toBe('2026-03-02T12:00:15.000Z');
  });
});
