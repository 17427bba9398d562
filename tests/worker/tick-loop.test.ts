import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runTickLoop } from '../../worker/tick-loop';

const idle = { hasMore: false };
const backlog = { hasMore: true };
const error = new Error('away');
const tickMs = 3_000;

beforeEach(() => {
  vi.useFakeTimers({ now: 0, toFake: ['Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Runs the loop over these ticks, of 3 s each, and ends it with the last. Answers how long it slept in between. */
async function run(ticks: ({ hasMore: boolean } | Error)[]) {
  const stop = new AbortController();
  const left = [...ticks];
  const slept: number[] = [];
  const told: number[] = [];
  await runTickLoop({
    everyMs: 10_000,
    signal: stop.signal,
    async tick() {
      vi.setSystemTime(Date.now() + tickMs);
      const next = left.shift() ?? idle;
      if (left.length === 0) stop.abort();
      if (next instanceof Error) throw next;
      return next;
    },
    onError: (_error, againInMs) => void told.push(againInMs),
    async sleep(ms) {
      slept.push(ms);
      vi.setSystemTime(Date.now() + ms);
    },
  });
  return { slept, told };
}

describe('the loop of ticks', () => {
  it('keeps its pace, and goes on at once while there is a backlog', async () => {
    expect((await run([idle, backlog, backlog, idle])).slept).toEqual([7_000]);
  });

  it('waits longer after each error, a minute at most, and from the start again after a tick that went well', async () => {
    const errors = Array.from({ length: 8 }, () => error);
    const { slept, told } = await run([...errors, idle, error, idle]);
    expect(slept).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 7_000, 1_000]);
    expect(told).toEqual([...slept.slice(0, 8), 1_000]);
  });

  it('ends with an error that is thrown on', async () => {
    const ran = runTickLoop({
      everyMs: 10,
      signal: new AbortController().signal,
      tick: () => Promise.reject(error),
      onError: (thrown) => {
        throw thrown;
      },
    });
    await expect(ran).rejects.toBe(error);
  });

  it('is woken from its sleep by the signal', async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 10);
    await runTickLoop({ everyMs: 600_000, signal: stop.signal, tick: async () => idle, onError: () => {} });
  });
});
