import type { Browser, Page } from 'playwright-core';
import type { Incident, Monitoring } from '../../../lib/store/monitoring.ts';
import { check, checkNone, checkSame, checkText, missingIn } from '../check.ts';
import { checkShown, newPage, open, sectionOf, until } from '../page.ts';
import type { Demo } from './demo.ts';
import { apiOf } from './figures.ts';

/** Sites that are down for at most a minute. */
const closing = ['Payments API', 'Booking API'];
const longestDownSeconds = 60;

/** Checks the demo's monitors in the API and on the dashboard. */
export async function checkMonitors(demo: Demo, browser: Browser): Promise<void> {
  let incidents: Incident[] = [];
  const isClosed = (name: string) =>
    incidents.some(({ monitor, closed_at }) => monitor === name && closed_at !== null);
  const areClosed = async () => {
    ({ incidents } = await apiOf(demo, '/api/incidents?limit=200'));
    return closing.every(isClosed);
  };
  await until(areClosed, { withinMs: 900_000, everyMs: 1_000 });
  for (const name of closing) check(`an incident of ${name} opened and closed`, isClosed(name), incidents);
  await checkLengths(demo, incidents);
  const wrong = incidents.filter(({ regions }) => regions.length < 2);
  checkNone('two regions confirmed each incident', wrong);

  const { page } = await newPage(browser);
  await checkPage(demo, page);
  await open(page, `${demo.address}/reports`);
  const figures = [/so far/, /dm_queue/, /\d+ done/, /monitors/, /\d+ up/, /\d+ down/];
  await checkShown('the reports show the roll-up of the day so far', page.locator('main'), [
    ...figures,
    'Uptime by day',
    'Fax gateway',
  ]);
}

/** Checks that incidents end with the first check that passes: a slow machine checks later. */
async function checkLengths(demo: Demo, incidents: Incident[]): Promise<void> {
  const long: object[] = [];
  for (const incident of incidents.filter(({ closed_at }) => closed_at !== null)) {
    const { checks } = await apiOf(demo, `/api/monitors/${incident.monitor_id}`);
    const times: number[] = checks.map(({ at }: { at: string }) => Date.parse(at));
    const gaps = times.slice(1).map((at, n) => Math.abs((times[n] as number) - at) / 1_000);
    const longest = longestDownSeconds + 3 * Math.max(...gaps);
    if (incident.seconds > longest) long.push({ ...incident, longest });
  }
  checkNone('no incident lasted longer than its site was down and three checks took', long);
}

/** Checks that the page of monitors shows what the API says. Sites change, so both are read until they agree. */
async function checkPage(demo: Demo, page: Page): Promise<void> {
  let monitoring: Monitoring = await apiOf(demo, '/api/monitoring');
  let shown = { all: '', open: '', closed: '' };
  const parts = ({ counts: { up, degraded, down }, monitors }: Monitoring) => [
    ...[`${up} up`, `${degraded} degraded`, `${down} down`],
    ...monitors.map(({ name }) => name),
  ];
  const opened = () => monitoring.incidents.open.map(({ monitor }) => monitor);
  const healthy = () => monitoring.regions.filter((one) => one.is_healthy && one.monitors > 0).length;
  const agree = async () => {
    monitoring = await apiOf(demo, '/api/monitoring');
    await open(page, `${demo.address}/monitors`);
    const text = (id: string) => sectionOf(page, id).innerText();
    shown = {
      all: await page.locator('main').innerText(),
      open: await text('open-incidents'),
      closed: await text('closed-incidents'),
    };
    return (
      isAsPlanned(monitoring) &&
      healthy() === 3 &&
      opened().length >= 5 &&
      missingIn(shown.all, parts(monitoring)).length === 0 &&
      missingIn(shown.open, opened()).length === 0
    );
  };
  await until(agree, { everyMs: 500 });
  const { counts, monitors, regions } = monitoring;
  checkSame('there are 40 monitors, and all have been checked', [monitors.length, counts.new], [40, 0]);
  check('at least 24 are up, 3 degraded and 5 down', isAsPlanned(monitoring), counts);
  checkText('the dashboard shows the same counts, and names every monitor', shown.all, parts(monitoring));
  check('three healthy regions share the monitors', healthy() === 3, regions);
  check('at least five incidents are open', opened().length >= 5, opened());
  checkText('the dashboard shows every open incident', shown.open, opened());
  checkText('the dashboard shows the closed incidents', shown.closed, closing);
}

const isAsPlanned = ({ counts, monitors }: Monitoring) =>
  monitors.length === 40 && counts.new === 0 && counts.up >= 24 && counts.degraded >= 3 && counts.down >= 5;
