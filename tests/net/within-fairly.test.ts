import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { httpCheck } from '../../lib/net/checks/http-check.ts';
import { addressGuard } from '../../lib/net/public-address.ts';
import { withinFairly } from '../../lib/net/within-fairly.ts';
import { never, plainCheck, siteServers, up } from './checks/site-servers.ts';

const { serve } = siteServers();

/** Blocks the process, as the work of another check does. */
function keepBusy(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
const waitFor = (signal: AbortSignal) =>
  new Promise<number>((resolve) => {
    const startedAt = performance.now();
    signal.addEventListener('abort', () => resolve(performance.now() - startedAt));
  });

it('withinFairly() ends waiting work at its time if the process is idle', async () => {
  const tookMs = await withinFairly(never, 200, waitFor);
  expect(tookMs).toBeGreaterThan(190);
});

it('withinFairly() extends the time by as long as the process was busy', async () => {
  const waited = withinFairly(never, 200, waitFor);
  await sleep(1);
  keepBusy(150);
  expect(await waited).toBeGreaterThan(300);
});

it('withinFairly() extends the time by at most twice its length', async () => {
  const waited = withinFairly(never, 50, waitFor);
  let hasEnded = false;
  void waited.then(() => {
    hasEnded = true;
  });
  // The process is never idle. Without the limit, each turn would extend the time forever, so this loop ends after 10 s.
  const until = performance.now() + 10_000;
  while (!hasEnded && performance.now() < until) {
    keepBusy(20);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(hasEnded).toBe(true);
});

it('withinFairly() ends with the signal and with the work', async () => {
  const outer = new AbortController();
  const waited = withinFairly(outer.signal, 60_000, waitFor);
  outer.abort();
  await waited;
  expect(await withinFairly(never, 60_000, async () => 'done')).toBe('done');
});

it('a check counts a site that responded in time as up, even if the process was too busy to read the response', async () => {
  const { host } = await serve((_request, response) => response.end('fine'));
  const limits = { ...plainCheck, url: `http://${host}/`, timeoutMs: 400, degradedMs: 300 };
  const check = httpCheck(limits, { guard: addressGuard(['127.0.0.0/8']) }, never);
  await sleep(1);
  keepBusy(600);
  expect(await check).toMatchObject(up);
});
