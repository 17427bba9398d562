import type { Browser } from 'playwright-core';
import type { Coverage } from '../../lib/cron/slots/schedule-coverage.ts';
import { check, checkText } from './check.ts';
import { address, fetchApi } from './demo-figures.ts';
import { openDashboard, sleep, until } from './demo-page.ts';

const minuteMs = 60_000;

/** Calls a cron endpoint with the secret. */
const tick = (secret: string, path: string, headers: Record<string, string> = {}) =>
  fetch(`${address}/api/cron/${path}`, { headers: { authorization: `Bearer ${secret}`, ...headers } });

/** Creates more jobs than one tick claims. A continuation, which Next's `after` starts, does the rest at once. */
export async function checkContinuations(secret: string, apiKey: string): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  const jobs = Array.from({ length: 45 }, () => ({ name: 'count-words', payload: { text: 'a b' } }));
  let continuations: string[] = [];
  // The demo's own scheduler may be first, and then no rows are left for a continuation.
  for (let attempt = 0; attempt < 3 && continuations.length < 2; attempt++) {
    await fetch(`${address}/api/jobs`, { method: 'POST', headers, body: JSON.stringify(jobs) });
    const { runId } = (await (await tick(secret, 'jobs?partition=default')).json()).reports[0];
    const readTicks = async () => {
      const { ticks } = await fetchApi(apiKey, '/api/queues/jobs/ticks?limit=20');
      continuations = ticks
        .filter((one: { run_id: string }) => one.run_id === runId)
        .map((one: { continuation: number; done: number }) => `${one.continuation}:${one.done}`);
      return continuations.length >= 2;
    };
    await until(readTicks, Date.now() + 3_000, 300);
  }
  const isAtOnce = String(continuations) === '1:15,0:30';
  check('a continuation does at once the rows that a tick leaves', isAtOnce, continuations);
}

/** Sends slots of its own scheduler: one twice, one not at all, one late and one off the schedule. */
export async function checkSchedulers(secret: string, apiKey: string, browser: Browser): Promise<void> {
  const slotAgo = (minutes: number) => new Date(Math.floor(Date.now() / minuteMs - minutes) * minuteMs);
  const [late, lost, now] = [slotAgo(4), slotAgo(3), slotAgo(0)];
  const scheduler = { 'x-punctual-scheduler': 'browser-check', 'x-punctual-schedule': '* * * * *' };
  for (const slot of [late, slotAgo(2), slotAgo(1), now, now, new Date(now.getTime() - 30_000)]) {
    const call = await tick(secret, 'dm-queue', { ...scheduler, 'x-punctual-slot': slot.toISOString() });
    await call.body?.cancel();
  }
  // The API caches an earlier response for 10 s.
  await sleep(10_500);
  const { schedulers }: Coverage = await fetchApi(apiKey, '/api/schedulers?queue=dm_queue');
  const ours = schedulers.find((one) => one.scheduler === 'browser-check');
  // How many are late depends on the second in which the check started.
  const isAsSent =
    ours !== undefined &&
    ours.expected === ours.ran + ours.late + ours.overlapped + ours.missed &&
    ours.late >= 2 &&
    `${[ours.missed, ours.duplicate, ours.offGrid]}` === '1,1,1';
  check('an undelivered slot counts as missed and a delayed one as late', isAsSent, schedulers);
  const missed = ours?.exceptions.filter(({ what }) => what === 'missed').map(({ slot }) => slot);
  check('the missed slot is listed by its instant', missed?.includes(lost.toISOString()) === true, ours);
  const local = schedulers.find((one) => one.scheduler === 'local');
  check('the demo’s own scheduler is listed and its slots ran', (local?.ran ?? 0) > 0, schedulers);

  const { page, section } = await openDashboard(browser, { path: '/schedules' });
  const row = section('schedulers').locator('tr', { hasText: 'browser-check' });
  const parts = [/every minute by browser-check/, /1 missed/, /\d late/, /1 duplicate/, /1 off schedule/];
  checkText('the dashboard shows the scheduler with its slots', await row.innerText(), parts);
  await row.locator('summary').click();
  const items = await row.getByRole('listitem').allInnerTexts();
  checkText('the dashboard lists the slots when the row is unfolded', items.join('\n'), [
    /^\d\d:\d\d missed$/m,
  ]);
  await page.close();
}
