import type { Browser } from 'playwright-core';
import type { Coverage, ScheduleCoverage } from '../../lib/cron/slots/schedule-coverage.ts';
import { check } from './check.ts';
import { address, fetchApi } from './demo-figures.ts';

const path = '/api/cron/dm-queue';
const minuteMs = 60_000;

/** Creates more jobs than one tick claims. A continuation, which Next's `after` starts, does the rest at once. */
export async function checkContinuations(secret: string, apiKey: string): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  const jobs = Array.from({ length: 45 }, () => ({ name: 'count-words', payload: { text: 'a b' } }));
  let continuations: unknown[] = [];
  // The demo's own scheduler may be first, and then no rows are left for a continuation.
  for (let attempt = 0; attempt < 3 && continuations.length < 2; attempt++) {
    await fetch(`${address}/api/jobs`, { method: 'POST', headers, body: JSON.stringify(jobs) });
    const response = await fetch(`${address}/api/cron/jobs?partition=default`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    const runId = (await response.json()).reports[0].runId;
    for (let reads = 0; reads < 10 && continuations.length < 2; reads++) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const { queues } = await fetchApi(apiKey, '/api/stats');
      const { ticks } = queues.find(({ name }: { name: string }) => name === 'jobs');
      continuations = ticks
        .filter((tick: { run_id: string }) => tick.run_id === runId)
        .map(continuationAndDone);
    }
  }
  check(
    'a continuation does at once the rows that a tick leaves',
    String(continuations) === '1:15,0:30',
    continuations,
  );
}

const continuationAndDone = ({ continuation, done }: { continuation: number; done: number }) =>
  `${continuation}:${done}`;

/** Sends slots of its own scheduler: one twice, one not at all, one late and one off the schedule. */
export async function checkSchedulers(secret: string, apiKey: string, browser: Browser): Promise<void> {
  const slotAgo = (minutes: number) => new Date(Math.floor(Date.now() / minuteMs - minutes) * minuteMs);
  const [late, lost, now] = [slotAgo(4), slotAgo(3), slotAgo(0)];
  for (const slot of [late, slotAgo(2), slotAgo(1), now, now, new Date(now.getTime() - 30_000)])
    await callFor(secret, slot);
  // The API caches an earlier response for 10 s.
  await new Promise((resolve) => setTimeout(resolve, 10_500));
  const { schedulers }: Coverage = await fetchApi(apiKey, '/api/schedulers?queue=dm_queue');
  const ours = schedulers.find(({ scheduler }) => scheduler === 'browser-check');
  check('an undelivered slot counts as missed and a delayed one as late', isAsSent(ours), schedulers);
  check(
    'the missed slot is listed by its instant',
    ours?.exceptions.some(({ slot, what }) => what === 'missed' && slot === lost.toISOString()) === true,
    ours?.exceptions,
  );
  const local = schedulers.find(({ scheduler }) => scheduler === 'local');
  check(
    'the demo’s own scheduler is listed and its slots ran',
    local !== undefined && local.ran > 0,
    schedulers,
  );

  const page = await browser.newPage({ viewport: { width: 1_280, height: 900 }, colorScheme: 'light' });
  await page.goto(address, { waitUntil: 'load' });
  const section = page.locator('section[aria-labelledby="schedulers"]');
  const row = section.locator('tr', { hasText: 'browser-check' });
  const text = await row.innerText();
  const parts = [/every minute by browser-check/, /1 missed/, /\d late/, /1 duplicate/, /1 off schedule/];
  const absent = parts.filter((part) => !part.test(text));
  check(
    'the dashboard shows the scheduler with its missed, late, duplicate and off-schedule slots',
    absent.length === 0,
    [absent.map(String), text],
  );
  await row.locator('summary').click();
  const items = await row.getByRole('listitem').allInnerTexts();
  check(
    'the dashboard lists the slots when the row is unfolded',
    items.some((one) => /^\d\d:\d\d missed$/.test(one)),
    items,
  );
  await page.close();
}

/** Whether the counts match the slots that were sent. How many are late depends on the second in which the check started. */
function isAsSent(scheduler: ScheduleCoverage | undefined): boolean {
  if (!scheduler) return false;
  const { expected, missed, late, duplicate, offGrid, ran, overlapped } = scheduler;
  return (
    expected === ran + late + overlapped + missed &&
    missed === 1 &&
    late >= 2 &&
    duplicate === 1 &&
    offGrid === 1
  );
}

async function callFor(secret: string, slot: Date): Promise<void> {
  const response = await fetch(`${address}${path}`, {
    headers: {
      authorization: `Bearer ${secret}`,
      'x-punctual-scheduler': 'browser-check',
      'x-punctual-schedule': '* * * * *',
      'x-punctual-slot': slot.toISOString(),
    },
  });
  await response.body?.cancel();
}
