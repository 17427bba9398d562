import type { Browser, Page } from 'playwright-core';
import type { Incident, Monitoring } from '../../lib/store/monitoring.ts';
import { check } from './check.ts';
import { address, fetchApi } from './demo-figures.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** The sites change every 40 s and are checked every 10 s: by then each of the two was down and is up again. */
const closedWithinMs = 150_000;
const closing = ['Payments API', 'Booking API'];

/** Checks the demo's monitors in the API and on the dashboard. `keep`: the file for a picture of the dashboard. */
export async function checkMonitors(
  apiKey: string,
  browser: Browser,
  startedAt: number,
  keep: string | null,
) {
  let incidents: Incident[] = [];
  const isClosed = (name: string) =>
    incidents.some(({ monitor, closed_at }) => monitor === name && closed_at !== null);
  do {
    ({ incidents } = await fetchApi(apiKey, '/api/incidents?limit=200'));
    if (closing.every(isClosed)) break;
    await sleep(2_000);
  } while (Date.now() - startedAt < closedWithinMs);
  for (const name of closing) check(`an incident of ${name} opened and closed`, isClosed(name), incidents);
  const lasted = incidents.filter(({ closed_at }) => closed_at !== null).map(({ seconds }) => seconds);
  check(
    'no closed incident lasted more than 90 s',
    lasted.every((seconds) => seconds <= 90),
    lasted,
  );
  const wrong = incidents.filter(({ regions }) => regions.length < 2);
  check('two regions confirmed each incident', wrong.length === 0, wrong);

  const page = await browser.newPage({ viewport: { width: 1_280, height: 900 }, colorScheme: 'light' });
  await page.goto(address, { waitUntil: 'load' });
  await checkPage(page);
  if (keep) await takePicture(page, keep);
  await page.close();
}

async function checkPage(page: Page): Promise<void> {
  const monitors = page.locator('section[aria-labelledby="monitors"]');
  await page.waitForSelector('#open-incidents', { timeout: 15_000 }).catch(() => {});
  // Compares the page with the response that it got.
  const monitoring: Monitoring = await (
    await page.waitForResponse((response) => response.url().endsWith('/api/monitoring'))
  ).json();
  await page.waitForTimeout(300);
  const text = await monitors.innerText();
  const { counts, regions, incidents } = monitoring;
  const states = Object.values(counts).reduce((sum, count) => sum + count, 0);
  check('there are 40 monitors, and all have been checked', states === 40 && counts.new === 0, counts);
  check(
    'at least 24 monitors are up, 3 degraded and 5 down',
    counts.up >= 24 && counts.degraded >= 3 && counts.down >= 5,
    counts,
  );
  const lines = (['up', 'degraded', 'down'] as const).map((state) => `${counts[state]} ${state}`);
  check(
    'the dashboard shows the same counts',
    lines.every((one) => text.includes(one)),
    [lines, text],
  );
  const missing = monitoring.monitors.filter(({ name }) => !text.includes(name));
  check(
    'the dashboard names every monitor',
    missing.length === 0 && monitoring.monitors.length === 40,
    missing,
  );
  const healthy = regions.filter(({ is_healthy, monitors: here }) => is_healthy && here > 0);
  check('three healthy regions share the monitors', healthy.length === 3, regions);
  const open = await page.locator('section[aria-labelledby="open-incidents"]').innerText();
  const unseen = incidents.open.filter(({ monitor }) => !open.includes(monitor));
  check('the dashboard shows every open incident', unseen.length === 0 && incidents.open.length >= 5, [
    unseen,
    open,
  ]);
  const closed = await page.locator('section[aria-labelledby="closed-incidents"]').innerText();
  check(
    'the dashboard shows the closed incidents',
    closing.every((name) => closed.includes(name)),
    closed,
  );
  const days = await page.locator('section[aria-labelledby="days"]').innerText();
  const parts = [
    /so far/,
    /dm_queue/,
    /\d+ done/,
    /monitors/,
    /\d+ up/,
    /\d+ down/,
    /Uptime by day/,
    /Fax gateway/,
  ];
  const absent = parts.filter((part) => !part.test(days));
  check('the dashboard shows the roll-up of the day so far', absent.length === 0, [absent.map(String), days]);
}

/** Takes a picture from the top to the end of the days, without the queues below. */
async function takePicture(page: Page, path: string): Promise<void> {
  const box = await page.locator('section[aria-labelledby="days"]').boundingBox();
  if (!box) return;
  const height = Math.ceil(box.y + box.height + 32);
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width: 1_280, height } });
}
