import type { Browser, Page } from 'playwright-core';
import type { Incident, Monitoring } from '../../lib/store/monitoring.ts';
import { check, checkNone, checkSame, checkText } from './check.ts';
import { fetchApi } from './demo-figures.ts';
import { openDashboard, until } from './demo-page.ts';

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
  await until(async () => {
    ({ incidents } = await fetchApi(apiKey, '/api/incidents?limit=200'));
    return closing.every(isClosed);
  }, startedAt + closedWithinMs);
  for (const name of closing) check(`an incident of ${name} opened and closed`, isClosed(name), incidents);
  const long = incidents.filter(({ closed_at, seconds }) => closed_at !== null && seconds > 90);
  checkNone('no closed incident lasted more than 90 s', long);
  const wrong = incidents.filter(({ regions }) => regions.length < 2);
  checkNone('two regions confirmed each incident', wrong);

  const { page, section } = await openDashboard(browser);
  await page.waitForSelector('#open-incidents', { timeout: 15_000 }).catch(() => {});
  // Compares the page with the response that it got.
  const response = await page.waitForResponse((one) => one.url().endsWith('/api/monitoring'));
  const monitoring: Monitoring = await response.json();
  await page.waitForTimeout(300);
  const textOf = (name: string) => section(name).innerText();
  await checkPage(monitoring, textOf);
  if (keep) await takePicture(page, keep);
  await page.close();
}

async function checkPage(
  { counts, regions, incidents, monitors }: Monitoring,
  textOf: (section: string) => Promise<string>,
): Promise<void> {
  const { up, degraded, down } = counts;
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  checkSame(
    'there are 40 monitors, and all have been checked',
    [total, counts.new, monitors.length],
    [40, 0, 40],
  );
  const enough = up >= 24 && degraded >= 3 && down >= 5;
  check('at least 24 monitors are up, 3 degraded and 5 down', enough, counts);
  const text = await textOf('monitors');
  const lines = [`${up} up`, `${degraded} degraded`, `${down} down`];
  checkText('the dashboard shows the same counts', text, lines);
  checkText(
    'the dashboard names every monitor',
    text,
    monitors.map(({ name }) => name),
  );
  const healthy = regions.filter(({ is_healthy, monitors: here }) => is_healthy && here > 0);
  check('three healthy regions share the monitors', healthy.length === 3, regions);
  const open = incidents.open.map(({ monitor }) => monitor);
  check('at least five incidents are open', open.length >= 5, open);
  checkText('the dashboard shows every open incident', await textOf('open-incidents'), open);
  checkText('the dashboard shows the closed incidents', await textOf('closed-incidents'), closing);
  const figures = [/so far/, /dm_queue/, /\d+ done/, /monitors/, /\d+ up/, /\d+ down/];
  const days = [...figures, 'Uptime by day', 'Fax gateway'];
  checkText('the dashboard shows the roll-up of the day so far', await textOf('days'), days);
}

/** Takes a picture from the top to the end of the days, without the queues below. */
async function takePicture(page: Page, path: string): Promise<void> {
  const box = await page.locator('section[aria-labelledby="days"]').boundingBox();
  if (!box) return;
  const height = Math.ceil(box.y + box.height + 32);
  await page.screenshot({ path, fullPage: true, clip: { x: 0, y: 0, width: 1_280, height } });
}
