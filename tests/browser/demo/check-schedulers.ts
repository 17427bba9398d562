import type { Browser } from 'playwright-core';
import type { Coverage, ScheduleCoverage } from '../../../lib/cron/slots/schedule-coverage.ts';
import { check, checkText } from '../check.ts';
import { newPage, open, sectionOf, until } from '../page.ts';
import type { Demo } from './demo.ts';
import { apiOf } from './figures.ts';

const minuteMs = 60_000;

/** Sends slots of its own hourly scheduler: one twice, one not at all, three late and one off the schedule. */
export async function checkSchedulers(demo: Demo, browser: Browser): Promise<void> {
  // The next slot is an hour away, so none falls due meanwhile.
  const latest = Math.floor(Date.now() / minuteMs) * minuteMs;
  const minute = new Date(latest).getUTCMinutes();
  const hoursAgo = (hours: number) => new Date(latest - hours * 60 * minuteMs);
  const [lost, now] = [hoursAgo(3), hoursAgo(0)];
  const offGrid = new Date(latest - minuteMs / 2);
  for (const slot of [hoursAgo(4), hoursAgo(2), hoursAgo(1), now, now, offGrid]) {
    const call = await fetch(`${demo.address}/api/cron/dm-queue`, {
      headers: {
        authorization: `Bearer ${demo.cronSecret}`,
        'x-punctual-scheduler': 'browser-check',
        'x-punctual-schedule': `${minute} * * * *`,
        'x-punctual-slot': slot.toISOString(),
      },
    });
    await call.body?.cancel();
  }
  let schedulers: ScheduleCoverage[] = [];
  const named = (name: string) => schedulers.find(({ scheduler }) => scheduler === name);
  const isAsSent = () => {
    const ours = named('browser-check');
    return (
      ours !== undefined &&
      ours.expected === ours.ran + ours.late + ours.overlapped + ours.missed &&
      ours.late >= 3 &&
      `${[ours.missed, ours.duplicate, ours.offGrid]}` === '1,1,1'
    );
  };
  const localRan = () => schedulers.some(({ scheduler, ran }) => scheduler === 'local' && ran > 0);
  // The API caches an earlier response for 10 s.
  await until(async () => {
    ({ schedulers } = (await apiOf(demo, '/api/schedulers?queue=dm_queue')) as Coverage);
    return isAsSent() && localRan();
  });
  const ours = named('browser-check');
  check('an undelivered slot counts as missed and a delayed one as late', isAsSent(), schedulers);
  const missed = ours?.exceptions.filter(({ what }) => what === 'missed').map(({ slot }) => slot);
  check('the missed slot is listed by its instant', missed?.includes(lost.toISOString()) === true, ours);
  check('the demo’s own scheduler is listed and its slots ran', localRan(), schedulers);

  const { page } = await newPage(browser);
  await open(page, `${demo.address}/schedules`);
  const row = sectionOf(page, 'schedulers').locator('tr', { hasText: 'browser-check' });
  const parts = [/every hour at :\d\d by browser-check/, /1 missed/, /\d late/, /1 duplicate/];
  checkText('the dashboard shows the scheduler with its slots', await row.innerText(), [
    ...parts,
    /1 off schedule/,
  ]);
  await row.locator('summary').click();
  const items = await row.getByRole('listitem').allInnerTexts();
  checkText('the dashboard lists the slots when the row is unfolded', items.join('\n'), [
    /^(yesterday )?\d\d:\d\d.* missed$/m,
  ]);
}
