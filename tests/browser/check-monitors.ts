import type { Browser } from 'playwright-core';
import type { Incident, Monitoring } from '../../lib/store/monitoring.ts';
import { check, checkNone, checkSame, checkText } from './check.ts';
import { address, fetchApi } from './demo-figures.ts';
import { openDashboard, until } from './demo-page.ts';

/** The sites change every 40 s and are checked every 10 s: by then each of the two was down and is up again. */
const closedWithinMs = 150_000;
const closing = ['Payments API', 'Booking API'];

/** Checks the demo's monitors in the API and on the dashboard. */
export async function checkMonitors(apiKey: string, browser: Browser, startedAt: number) {
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

  // The sites change, so the page is compared with what the API says at once before or after.
  const { page, section } = await openDashboard(browser, { path: '/monitors' });
  await section('regions').waitFor({ timeout: 15_000 });
  let monitoring: Monitoring = await fetchApi(apiKey, '/api/monitoring');
  const isShown = async () => {
    monitoring = await fetchApi(apiKey, '/api/monitoring');
    await page.reload({ waitUntil: 'load' });
    const { down, up } = monitoring.counts;
    const text = await page.locator('main').innerText();
    return text.includes(`${down} down`) && text.includes(`${up} up`);
  };
  await until(isShown, Date.now() + 30_000, 500);
  const textOf = (name: string) => (name === 'monitors' ? page.locator('main') : section(name)).innerText();
  await checkPage(monitoring, textOf);
  await page.goto(`${address}/reports`, { waitUntil: 'load' });
  const figures = [
    /so far/,
    /dm_queue/,
    /\d+ done/,
    /monitors/,
    /\d+ up/,
    /\d+ down/,
    'Uptime by day',
    'Fax gateway',
  ];
  checkText(
    'the reports show the roll-up of the day so far',
    await page.locator('main').innerText(),
    figures,
  );
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
}
