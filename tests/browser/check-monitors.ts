import type { Browser, Page } from 'playwright-core';
import type { Incident, Monitoring } from '../../lib/store/monitoring.ts';
import { check } from './check.ts';
import { address, asked } from './demo-figures.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** In turns of 40 s, and seen every 10: by then each of the two was down and is up again. */
const closedWithinMs = 150_000;
const closing = ['Payments API', 'Booking API'];

/** Of the demo's monitors: what the API says, and the dashboard with it. `keep`: where to put its picture. */
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
    ({ incidents } = await asked(apiKey, '/api/incidents?limit=200'));
    if (closing.every(isClosed)) break;
    await sleep(2_000);
  } while (Date.now() - startedAt < closedWithinMs);
  for (const name of closing) check(`an incident of ${name} opened and closed`, isClosed(name), incidents);
  const lasted = incidents.filter(({ closed_at }) => closed_at !== null).map(({ seconds }) => seconds);
  check(
    'none of them lasted much longer than its site was down',
    lasted.every((seconds) => seconds <= 90),
    lasted,
  );
  const wrong = incidents.filter(({ regions }) => regions.length < 2);
  check('each was seen from two regions before it opened', wrong.length === 0, wrong);

  const page = await browser.newPage({ viewport: { width: 1_280, height: 900 }, colorScheme: 'light' });
  await page.goto(address, { waitUntil: 'load' });
  await checkPage(page);
  if (keep) await takePicture(page, keep);
  await page.close();
}

async function checkPage(page: Page): Promise<void> {
  const monitors = page.locator('section[aria-labelledby="monitors"]');
  await page.waitForSelector('#open-incidents', { timeout: 15_000 }).catch(() => {});
  // What the page was told, and what it then shows.
  const told: Monitoring = await (
    await page.waitForResponse((response) => response.url().endsWith('/api/monitoring'))
  ).json();
  await page.waitForTimeout(300);
  const text = await monitors.innerText();
  const { counts, regions, incidents } = told;
  const states = Object.values(counts).reduce((sum, count) => sum + count, 0);
  check('forty monitors are there, all of them checked', states === 40 && counts.new === 0, counts);
  check(
    'some are up, some degraded, some down',
    counts.up >= 24 && counts.degraded >= 3 && counts.down >= 5,
    counts,
  );
  const said = (['up', 'degraded', 'down'] as const).map((state) => `${counts[state]} ${state}`);
  check(
    'the dashboard shows as many of each',
    said.every((one) => text.includes(one)),
    [said, text],
  );
  const missing = told.monitors.filter(({ name }) => !text.includes(name));
  check('and each of them by its name', missing.length === 0 && told.monitors.length === 40, missing);
  const healthy = regions.filter(({ is_healthy, monitors: here }) => is_healthy && here > 0);
  check('three regions are healthy and share them', healthy.length === 3, regions);
  const open = await page.locator('section[aria-labelledby="open-incidents"]').innerText();
  const unseen = incidents.open.filter(({ monitor }) => !open.includes(monitor));
  check('every open incident is shown', unseen.length === 0 && incidents.open.length >= 5, [unseen, open]);
  const closed = await page.locator('section[aria-labelledby="closed-incidents"]').innerText();
  check(
    'and those that closed',
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
  check('the day so far is rolled up and shown', absent.length === 0, [absent.map(String), days]);
}

/** From the top to the end of the days: what comes below shows each queue. */
async function takePicture(page: Page, path: string): Promise<void> {
  const box = await page.locator('section[aria-labelledby="days"]').boundingBox();
  if (!box) return;
  const height = Math.ceil(box.y + box.height + 32);
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width: 1_280, height } });
}
