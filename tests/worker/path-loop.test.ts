import { describe, expect, it } from 'vitest';
import { startPathLoop, type TickRequest } from '../../worker/path-loop.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

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
  clock.timer(Date.parse(options.until) - clock.now(), () => stop.abort());
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

const summary = (calls: (Call & { at: string })[]) =>
  calls.map(({ at, slot, continuation }) => [at, slot?.slice(11, 19) ?? null, continuation]);

describe('the loop of a path', () => {
  it('calls once at its start, without a slot, and then at each slot', async () => {
    const { calls, ended } = bench({ until: '2026-03-02T12:03:30Z' });
    await ended();
    expect(summary(calls)).toEqual([
      ['12:00:10', null, 0],
      ['12:01:00', '12:01:00', 0],
      ['12:02:00', '12:02:00', 0],
      ['12:03:00', '12:03:00', 0],
    ]);
    expect(calls[1]).toMatchObject({ scheduler: 'worker', path: '/api/cron/jobs', schedule: '* * * * *' });
    expect(calls[0]?.schedule).toBeNull();
    expect(new Set(calls.map(({ runId }) => runId)).size).toBe(4);
  });

  it('calls without a slot when the next row falls due, unless a slot comes before', async () => {
    const { calls, ended } = bench({ until: '2026-03-02T12:02:30Z', dueIn: [7_000, 4_000, 80_000, 1] });
    await ended();
    expect(summary(calls)).toEqual([
      ['12:00:10', null, 0],
      ['12:00:17', null, 0],
      ['12:00:21', null, 0],
      ['12:01:00', '12:01:00', 0],
      ['12:01:00', null, 0],
      ['12:02:00', '12:02:00', 0],
    ]);
  });

  it('makes one call for any number of nudges, also after a call that was running', async () => {
    const { calls, clock, loop, ended } = bench({ until: '2026-03-02T12:00:40Z', takesMs: 2_000 });
    const nudge = () => {
      for (let n = 0; n < 30; n++) loop.nudge();
    };
    clock.timer(5_000, nudge);
    clock.timer(6_000, nudge);
    await ended();
    expect(summary(calls)).toEqual([
      ['12:00:10', null, 0],
      ['12:00:15', null, 0],
      ['12:00:17', null, 0],
    ]);
  });

  it('waits for its slot if it is due less than hourly', async () => {
    const { calls, ended } = bench({ until: '2026-03-02T12:40:00Z', schedule: '30 12 * * *' });
    await ended();
    expect(summary(calls)).toEqual([['12:30:00', '12:30:00', 0]]);
  });

  it('starts continuations back-to-back while rows are due, with the run id of the first call', async () => {
    const { calls, ended } = bench({ until: '2026-03-02T12:01:30Z', continuations: 3 });
    await ended();
    expect(summary(calls)).toEqual([
      ['12:00:10', null, 0],
      ['12:00:10', null, 1],
      ['12:00:10', null, 2],
      ['12:00:10', null, 3],
      ['12:01:00', '12:01:00', 0],
    ]);
    expect(new Set(calls.slice(0, 4).map(({ runId }) => runId)).size).toBe(1);
  });

  it('gives a slot that falls due during a call to the next call, and of several slots the latest', async () => {
    const { calls, ended } = bench({ until: '2026-03-02T12:05:00Z', continuations: 100, takesMs: 80_000 });
    await ended();
    expect(summary(calls)).toEqual([
      ['12:00:10', null, 0],
      ['12:01:30', '12:01:00', 0],
      ['12:02:50', '12:02:00', 0],
      ['12:04:10', '12:04:00', 0],
    ]);
  });

  it('follows an interval of its own, and names it as a schedule', async () => {
    const { calls, ended } = bench({ until: '2026-03-02T12:00:27Z', everyMs: 5_000 });
    await ended();
    expect(summary(calls).slice(1)).toEqual([
      ['12:00:15', '12:00:15', 0],
      ['12:00:20', '12:00:20', 0],
      ['12:00:25', '12:00:25', 0],
    ]);
    expect(calls[1]?.schedule).toBe('*/5 * * * * *');
  });

  it('repeats a failed call as the same continuation after growing pauses, and reports the fault and the recovery once', async () => {
    const outages = [1, 2, 3].map(() => new Error('the database is away'));
    const { calls, faults, ended } = bench({ until: '2026-03-02T12:00:40Z', fails: outages });
    await ended();
    expect(summary(calls)).toEqual([
      ['12:00:10', null, 0],
      ['12:00:11', null, 0],
      ['12:00:13', null, 0],
      ['12:00:17', null, 0],
    ]);
    expect(new Set(calls.map(({ runId }) => runId)).size).toBe(1);
    expect(faults).toEqual(['the database is away', 'over']);
  });

  it('gives a slot that falls due while calls fail to the next call', async () => {
    const outages = Array.from({ length: 8 }, () => new Error('the database is away'));
    const { calls, faults, loop, clock, ended } = bench({ until: '2026-03-02T12:04:40Z', fails: outages });
    const since: (number | null)[] = [];
    for (const second of [1, 100, 220]) clock.timer(second * 1_000, () => since.push(loop.dueSince()));
    await ended();
    expect(summary(calls)).toEqual([
      ['12:00:10', null, 0],
      ['12:00:11', null, 0],
      ['12:00:13', null, 0],
      ['12:00:17', null, 0],
      ['12:00:25', null, 0],
      ['12:00:41', null, 0],
      ['12:01:13', '12:01:00', 0],
      ['12:02:13', '12:02:00', 0],
      ['12:03:13', '12:03:00', 0],
      ['12:04:00', '12:04:00', 0],
    ]);
    expect(faults).toEqual(['the database is away', 'over']);
    const startedAt = Date.parse('2026-03-02T12:00:10Z');
    expect(since).toEqual([startedAt, startedAt, null]);
  });

  it('leaves the tick to the waker if the latest call failed, and accepts it again after a success', async () => {
    const { calls, loop, clock, ended } = bench({
      until: '2026-03-02T12:00:20Z',
      fails: [new Error('the database is away'), new Error('it still is')],
    });
    const states: string[] = [];
    for (const second of [0.5, 2, 5]) clock.timer(second * 1_000, () => states.push(loop.wake(request)));
    await ended();
    expect(states).toEqual(['failing', 'failing', 'started']);
    expect(calls.map(({ at, scheduler }) => [at, scheduler])).toEqual([
      ['12:00:10', 'worker'],
      ['12:00:11', 'worker'],
      ['12:00:13', 'worker'],
      ['12:00:15', 'vercel'],
    ]);
  });

  it('waits for the next slot if a setting is missing, and leaves the tick to the waker', async () => {
    const unset = Object.assign(new Error('set UNIPILE_DSN'), { kind: 'not_configured' });
    const { calls, loop, clock, ended } = bench({ until: '2026-03-02T12:00:40Z', fails: [unset] });
    let state: string | undefined;
    clock.timer(5_000, () => {
      state = loop.wake(request);
    });
    await ended();
    expect(summary(calls)).toEqual([['12:00:10', null, 0]]);
    expect(loop.latest()).toMatchObject({ state: 'not_configured' });
    expect(state).toBe('not_configured');
  });

  it('calls at once if it is woken while it waits, with the scheduler, path and slot of the waker', async () => {
    const { calls, loop, clock, ended } = bench({ until: '2026-03-02T12:00:50Z' });
    let state: string | undefined;
    clock.timer(20_000, () => {
      state = loop.wake({ ...request, slot: '2026-03-02T12:00:00.000Z' });
    });
    await ended();
    expect(state).toBe('started');
    expect(summary(calls)).toEqual([
      ['12:00:10', null, 0],
      ['12:00:30', '12:00:00', 0],
    ]);
    expect(calls[1]).toMatchObject({ scheduler: 'vercel', path: '/api/trigger/jobs' });
  });

  it('calls once more if it is woken during a call', async () => {
    const states: string[] = [];
    const { calls, loop, clock, ended } = bench({
      until: '2026-03-02T12:00:50Z',
      takesMs: 10_000,
      continuations: 1,
    });
    clock.timer(5_000, () => states.push(loop.wake(request)));
    await ended();
    // The waker's call takes the place of the continuation.
    expect(calls.map(({ at, scheduler, continuation }) => [at, scheduler, continuation])).toEqual([
      ['12:00:10', 'worker', 0],
      ['12:00:20', 'vercel', 0],
    ]);
    expect(states).toEqual(['running']);
  });

  it('ends after the running call, and starts no continuation', async () => {
    const { calls, clock, ended } = bench({
      until: '2026-03-02T12:00:12Z',
      takesMs: 5_000,
      continuations: 9,
    });
    await ended();
    expect(calls).toHaveLength(1);
    expect(clock.date().toISOString()).toBe('2026-03-02T12:00:15.000Z');
  });
});
