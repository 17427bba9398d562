import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { everyMsByDefault, startPulse } from '../../../app/(dashboard)/shell/pulse-loop.ts';

const hourMs = 3_600_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A page whose pulse is `answer()`, and its calls to the server. */
function openPage(answer: () => string, { seen = 'a' as string | null, everyMs = everyMsByDefault } = {}) {
  const page = { calls: 0, refreshes: 0, hidden: false, failures: [] as string[], shared: [] as string[] };
  const loop = startPulse(
    {
      async ask() {
        page.calls++;
        return answer();
      },
      refresh: () => {
        page.calls++;
        page.refreshes++;
      },
      share: (pulse) => page.shared.push(pulse),
      isHidden: () => page.hidden,
      onAnswer: () => {},
      onFailure: (message) => page.failures.push(message),
    },
    { everyMs, seen },
  );
  return { page, loop };
}

/** Passes an hour in which a person touches the page every minute. */
async function passHour(touch: () => void): Promise<void> {
  for (let minute = 0; minute < 60; minute++) {
    await vi.advanceTimersByTimeAsync(60_000);
    touch();
  }
}

it.each([
  ['quiet', () => 'a'],
  ['busy', () => `${Math.random()}`],
])('an open page makes at most 360 calls an hour while it is %s', async (_label, answer) => {
  const { page, loop } = openPage(answer);
  await passHour(loop.touch);
  expect(page.calls).toBeGreaterThan(300);
  expect(page.calls).toBeLessThanOrEqual(360);
});

it.each([
  ['quiet', () => 'a'],
  ['busy', () => `${Math.random()}`],
])('a page that is left alone makes at most 60 calls an hour while it is %s', async (_label, answer) => {
  const { page } = openPage(answer);
  await vi.advanceTimersByTimeAsync(hourMs);
  const before = page.calls;
  await vi.advanceTimersByTimeAsync(hourMs);
  expect(page.calls - before).toBeLessThanOrEqual(60);
  expect(page.calls - before).toBeGreaterThan(40);
});

it('a hidden page makes no call, and asks at once when it is shown', async () => {
  const { page, loop } = openPage(() => 'a');
  page.hidden = true;
  loop.turn();
  await vi.advanceTimersByTimeAsync(hourMs);
  expect(page.calls).toBe(0);
  page.hidden = false;
  loop.turn();
  await vi.advanceTimersByTimeAsync(0);
  expect(page.calls).toBeGreaterThan(0);
});

it('the page is rendered anew when the pulse changes, and every five minutes, since silence changes none', async () => {
  let pulse = 'a';
  const { page } = openPage(() => pulse);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(page.refreshes).toBe(0);
  pulse = 'b';
  await vi.advanceTimersByTimeAsync(everyMsByDefault);
  expect(page.refreshes).toBe(1);
  await vi.advanceTimersByTimeAsync(280_000);
  expect(page.refreshes).toBe(1);
  await vi.advanceTimersByTimeAsync(80_000);
  expect(page.refreshes).toBe(2);
});

it('a page that another tab tells the pulse does not ask itself', async () => {
  let pulse = 'a';
  const { page, loop } = openPage(() => pulse);
  for (let n = 0; n < 20; n++) {
    await vi.advanceTimersByTimeAsync(9_000);
    pulse = `${n}`;
    loop.heard(pulse);
  }
  expect([page.calls, page.refreshes, page.shared]).toEqual([20, 20, []]);
});

it('a failed call is reported, changes nothing, and is tried again', async () => {
  let fails = true;
  const { page } = openPage(() => {
    if (fails) throw new Error('the database cannot be reached');
    return 'a';
  });
  await vi.advanceTimersByTimeAsync(everyMsByDefault);
  expect([page.failures, page.refreshes]).toEqual([['the database cannot be reached'], 0]);
  fails = false;
  await vi.advanceTimersByTimeAsync(everyMsByDefault);
  expect(page.shared).toEqual(['a']);
});

it('a page asks every 3 s while an action runs', async () => {
  let answer = '{"actions":{"31":"running.502.200"}}';
  const { page, loop } = openPage(() => answer, { seen: answer });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(page.calls).toBeGreaterThanOrEqual(9);
  answer = '{"actions":{}}';
  await vi.advanceTimersByTimeAsync(10_000);
  page.calls = 0;
  await vi.advanceTimersByTimeAsync(30_000);
  expect(page.calls).toBeLessThanOrEqual(3);
  loop.stop();
});

it('asks within 3 s after an act whose page was rendered with an action that runs', async () => {
  const running = '{"queues":{},"actions":{"1":"5"},"act":1}';
  const { page, loop } = openPage(() => running);
  await vi.advanceTimersByTimeAsync(2_000);
  loop.rendered(running);
  await vi.advanceTimersByTimeAsync(1_000);
  expect([page.calls, page.refreshes]).toEqual([1, 0]);
});
