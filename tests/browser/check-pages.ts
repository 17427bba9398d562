import { gzipSync } from 'node:zlib';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { check, checkAtLeast, checkNone, checkText } from './check.ts';
import { address, fetchApi, postApi, rowsOf } from './demo-figures.ts';
import { openDashboard, overflowOf, until } from './demo-page.ts';

const screens = [
  ['desk-light', 1_440, 900, 'light'],
  ['desk-dark', 1_440, 900, 'dark'],
  ['phone-light', 390, 844, 'light'],
  ['phone-dark', 390, 844, 'dark'],
] as const;

/** Lists each page of the dashboard, those of single things by the first that the demo has. */
async function listPages(apiKey: string): Promise<[name: string, path: string][]> {
  const { ticks } = await fetchApi(apiKey, '/api/queues/dm_queue/ticks?limit=1');
  const { enrolments } = await fetchApi(apiKey, '/api/enrolments?limit=1');
  const { errors } = await fetchApi(apiKey, '/api/queues/jobs/errors?limit=1');
  const { accounts } = await fetchApi(apiKey, '/api/accounts?limit=1');
  const [[sent], [failed]] = await Promise.all([
    rowsOf(apiKey, 'dm_queue', 'sent'),
    rowsOf(apiKey, 'dm_queue', 'failed'),
  ]);
  const body = { action: 'retry', filter: { status: 'failed' }, first: 1, note: 'ticket 4711' };
  const action = await postApi(apiKey, '/api/queues/dm_queue/actions', body);
  const [{ id: enrolment, sequence_id: sequence }] = enrolments;
  return [
    ['today', '/'],
    ['queue', '/queues/dm_queue'],
    ['rows', '/queues/dm_queue/rows'],
    ['rows-filtered', '/queues/jobs/rows?status=failed&text=fail&created_from=2026-01-01T00:00:00Z'],
    ['row', `/queues/dm_queue/rows/${sent?.id}`],
    ['row-failed', `/queues/dm_queue/rows/${failed?.id}`],
    ['row-missing', '/queues/dm_queue/rows/987654321'],
    ['act', '/queues/dm_queue/act?act=retry&status=failed'],
    ['actions', '/actions'],
    ['action', `/actions/${action.id}`],
    ['ticks', '/queues/dm_queue/ticks'],
    ['tick', `/queues/dm_queue/ticks/${ticks[0].id}`],
    ['errors', '/queues/jobs/errors'],
    ['error', `/queues/jobs/errors/${errors[0].id}`],
    ['settings', '/queues/jobs/settings'],
    ['settings-of-partition', '/queues/jobs/settings?partition=default'],
    ['accounts', '/accounts'],
    ['account', `/accounts/${accounts[0].id}`],
    ['activity', '/activity'],
    ['find', '/find?q=nobody'],
    ['posts', '/posts'],
    ['sequences', '/sequences'],
    ['sequence', `/sequences/${sequence}`],
    ['person', `/sequences/${sequence}/people/${enrolment}`],
    ['monitors', '/monitors'],
    ['schedules', '/schedules'],
    ['reports', '/reports'],
    ['not-found', '/queues/nowhere'],
  ];
}

/** Checks every page on wide and narrow screens, light and dark: errors, overflow, accessibility. Keeps a picture of each in `folder`. */
export async function checkPages(apiKey: string, browser: Browser, folder: string): Promise<void> {
  for (const [name, path] of await listPages(apiKey)) {
    const found = await Promise.all(
      screens.map((screen) => checkPage(browser, { name, path, folder }, screen)),
    );
    checkNone(
      `${path}: no page error, no overflow and no serious finding of axe on any screen`,
      found.flat(),
    );
  }
}

/** Returns what is wrong with a page on one screen. */
async function checkPage(
  browser: Browser,
  { name, path, folder }: { name: string; path: string; folder: string },
  [screen, width, height, colorScheme]: (typeof screens)[number],
): Promise<string[]> {
  const { page, errors } = await openDashboard(browser, { path, width, height, colorScheme });
  await page.waitForTimeout(500);
  // Axe tests what is folded, too.
  await page.evaluate(() => {
    for (const details of document.querySelectorAll('details')) details.open = true;
  });
  const overflow = await overflowOf(page);
  const found = [
    ...(overflow > 0 ? [`${overflow} px too wide`] : []),
    ...(await axeFindings(page)),
    ...errors.filter((error) => name !== 'not-found' || !error.includes('404')),
  ];
  await page.screenshot({ path: `${folder}/${name}-${screen}.png`, fullPage: true });
  await page.close();
  return found.map((fault) => `${screen}: ${fault}`);
}

async function axeFindings(page: Page): Promise<string[]> {
  // The page's policy forbids inline scripts, but not the browser's own.
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { violations } = await (window as unknown as { axe: typeof axe }).axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(
        ({ id, nodes }) =>
          `${id} at ${nodes
            .map(({ target }) => target.join(' '))
            .slice(0, 3)
            .join(', ')}`,
      );
  });
}

/** Checks the weight of the first load of Today, and the calls of an open page. */
export async function checkPrice(browser: Browser): Promise<void> {
  const html = await (await fetch(address)).text();
  check('the HTML of Today is under 150 KB', html.length < 150_000, html.length);
  const scripts = new Set(
    [...html.matchAll(/<script[^>]*src="(\/_next\/static\/[^"]+\.js[^"]*)"[^>]*>/g)]
      // Only browsers without modules load these.
      .filter(([tag]) => !/nomodule/i.test(tag))
      .map(([, src]) => src),
  );
  const sizes = await Promise.all(
    [...scripts].map(
      async (src) => gzipSync(Buffer.from(await (await fetch(`${address}${src}`)).arrayBuffer())).length,
    ),
  );
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  check('the first load has under 150 KB of compressed script', sizes.length > 0 && bytes < 150_000, bytes);
  const pulse = await (await fetch(`${address}/api/pulse`)).text();
  check('a pulse is under 300 bytes', pulse.length < 300, pulse);

  const { page } = await openDashboard(browser);
  const calls: string[] = [];
  page.on('request', (request) => {
    if (!request.url().includes('/icon.svg')) calls.push(request.url());
  });
  await page.waitForTimeout(61_000);
  check('an open page makes at most 360 calls an hour', calls.length <= 6 && calls.length > 0, calls);
  const before = await page.locator('main').innerText();
  check(
    'the page updates without a reload',
    await until(async () => (await page.locator('main').innerText()) !== before, Date.now() + 30_000, 250),
  );
  // A headless browser never hides a page by itself.
  await page.evaluate(
    `Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
     document.dispatchEvent(new Event('visibilitychange'));`,
  );
  await page.waitForTimeout(2_000);
  calls.length = 0;
  await page.waitForTimeout(25_000);
  checkNone('a hidden page makes no call', calls);
  await page.close();
}

/** Checks that a server that does not answer leaves the figures, greyed, with their time. */
export async function checkStale(browser: Browser): Promise<void> {
  const { page } = await openDashboard(browser);
  const shown = await page.locator('#queues').innerText();
  await page.route('**/api/pulse', (route) =>
    route.fulfill({ status: 503, json: { error: { message: 'the database cannot be reached' } } }),
  );
  const notice = page.getByRole('alert').filter({ hasText: 'These figures are stale' });
  await notice.waitFor({ timeout: 30_000 });
  checkText('a failing server is named', await notice.innerText(), [
    /current at \d\d:\d\d:\d\d/,
    /the database cannot be reached/i,
  ]);
  check('the figures stay', (await page.locator('#queues').innerText()) === shown);
  await page.unroute('**/api/pulse');
  await notice.waitFor({ state: 'detached', timeout: 30_000 });
  checkAtLeast('the notice goes when the server answers', 1, 1);
  await page.close();
}
