import type { Browser } from 'playwright-core';
import type { Coverage, ScheduleCoverage } from '../../lib/cron/slots/schedule-coverage.ts';
import { check } from './check.ts';
import { address, asked } from './demo-figures.ts';

const path = '/api/cron/dm-queue';
const minuteMs = 60_000;

/** More jobs than one tick takes: the rest is done at once by the next continuation, which Next's `after` starts. */
export async function checkContinuations(secret: string, apiKey: string): Promise<void> {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  const jobs = Array.from({ length: 45 }, () => ({ name: 'count-words', payload: { text: 'a b' } }));
  let continuations: unknown[] = [];
  // The demo's own scheduler may have come first: then there is nothing left for a continuation.
  for (let attempt = 0; attempt < 3 && continuations.length < 2; attempt++) {
    await fetch(`${address}/api/jobs`, { method: 'POST', headers, body: JSON.stringify(jobs) });
    const answer = await fetch(`${address}/api/cron/jobs?partition=default`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    const run_id = (await answer.json()).reports[0].runId;
    for (let look = 0; look < 10 && continuations.length < 2; look++) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      const { queues } = await asked(apiKey, '/api/stats');
      const { ticks } = queues.find(({ name }: { name: string }) => name === 'jobs');
      continuations = ticks
        .filter((tick: { run_id: string }) => tick.run_id === run_id)
        .map(continuationAndDone);
    }
  }
  check(
    'what one tick leaves is done by the next continuation, at once',
    String(continuations) === '1:15,0:30',
    continuations,
  );
}

const continuationAndDone = ({ continuation, done }: { continuation: number; done: number }) =>
  `${continuation}:${done}`;

/** Slots of a scheduler of the check's own: one twice, one not at all, one late, one off the schedule. */
export async function checkSchedulers(secret: string, apiKey: string, browser: Browser): Promise<void> {
  const slotAgo = (minutes: number) => new Date(Math.floor(Date.now() / minuteMs - minutes) * minuteMs);
  const [late, lost, now] = [slotAgo(4), slotAgo(3), slotAgo(0)];
  for (const slot of [late, slotAgo(2), slotAgo(1), now, now, new Date(now.getTime() - 30_000)])
    await callFor(secret, slot);
  // The answer to whoever asked before is kept for as long.
  await new Promise((resolve) => setTimeout(resolve, 10_500));
  const { schedulers }: Coverage = await asked(apiKey, '/api/schedulers?queue=dm_queue');
  const ours = schedulers.find(({ scheduler }) => scheduler === 'browser-check');
  check('a slot that was not delivered is missed, one that came later late', isAccount(ours), schedulers);
  check(
    'and each by itself is told',
    ours?.exceptions.some(({ slot, what }) => what === 'missed' && slot === lost.toISOString()) === true,
    ours?.exceptions,
  );
  const local = schedulers.find(({ scheduler }) => scheduler === 'local');
  check(
    'the demo’s own scheduler is there, and its slots ran',
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
  check('the dashboard shows it with what it missed', absent.length === 0, [absent.map(String), text]);
  await row.locator('summary').click();
  const told = await row.getByRole('listitem').allInnerTexts();
  check(
    'and unfolded which slots those are',
    told.some((one) => /^\d\d:\d\d missed$/.test(one)),
    told,
  );
  await page.close();
}

/** How late the others are depends on the second in which this began. */
function isAccount(scheduler: ScheduleCoverage | undefined): boolean {
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
