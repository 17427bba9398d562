import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import type axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { check, checkNone } from '../check.ts';
import { newPage, open, overflowOf } from '../page.ts';
import type { Demo } from './demo.ts';
import { apiOf, rowsOf } from './figures.ts';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const screens = [
  ['desk-light', 1_440, 900, 'light'],
  ['desk-dark', 1_440, 900, 'dark'],
  ['phone-dark', 390, 844, 'dark'],
  ['phone-light', 390, 844, 'light'],
] as const;
/** In pixels. A list goes on for longer. */
const longestPicture = 1_500;
/** Pages that are checked at once. */
const lanes = 2;

/** Lists each page of the dashboard, those of single things by the first that the demo has. */
async function listPages(demo: Demo): Promise<[name: string, path: string][]> {
  const { ticks } = await apiOf(demo, '/api/queues/dm_queue/ticks?limit=1');
  const { enrolments } = await apiOf(demo, '/api/enrolments?limit=1');
  const { errors } = await apiOf(demo, '/api/queues/jobs/errors?limit=1');
  const { accounts } = await apiOf(demo, '/api/accounts?limit=1');
  const [[sent], [failed]] = await Promise.all([
    rowsOf(demo, 'dm_queue', 'sent'),
    rowsOf(demo, 'dm_queue', 'failed'),
  ]);
  const body = { action: 'retry', filter: { status: 'failed' }, first: 1, note: 'ticket 4711' };
  const action = await apiOf(demo, '/api/queues/dm_queue/actions', body);
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

/**
 * Checks every page on wide and narrow screens, light and dark: errors, overflow, accessibility. With a `folder`, keeps a picture of each there.
 */
export async function checkPages(demo: Demo, browser: Browser, folder: string | null): Promise<void> {
  if (folder !== null) mkdirSync(folder, { recursive: true });
  const left = await listPages(demo);
  const work = async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      const [name, path] = next;
      const found = await checkPage(browser, `${demo.address}${path}`, name, folder);
      checkNone(`${path}: no page error, no overflow and no serious finding of axe on any screen`, found);
    }
  };
  await Promise.all(Array.from({ length: lanes }, work));
}

/** Returns what is wrong with a page on each screen. It is loaded once, and then its window changes. */
async function checkPage(
  browser: Browser,
  url: string,
  name: string,
  folder: string | null,
): Promise<string[]> {
  const { page, errors } = await newPage(browser, { viewport: { width: 1_440, height: 900 } });
  await open(page, url);
  // Axe tests what is folded, too.
  await unfold(page, true);
  // The page's policy forbids inline scripts, but not the browser's own.
  await page.evaluate(axeSource);
  const found: string[] = [];
  for (const [screen, width, height, colorScheme] of screens) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    const overflow = await overflowOf(page);
    const faults = [...(overflow > 0 ? [`${overflow} px too wide`] : []), ...(await axeFindings(page))];
    found.push(...faults.map((fault) => `${screen}: ${fault}`));
    if (folder === null) continue;
    await unfold(page, false);
    await keepPicture(page, `${folder}/${name}-${screen}.webp`);
    await unfold(page, true);
  }
  found.push(...errors.filter((error) => name !== 'not-found' || !error.includes('404')));
  if (found.length === 0) await page.context().close();
  return found;
}

/** Opens what is folded, or folds it again. */
async function unfold(page: Page, isOpen: boolean): Promise<void> {
  await page.evaluate((open) => {
    const which = open ? 'details:not([open])' : 'details[data-unfolded]';
    for (const details of document.querySelectorAll<HTMLDetailsElement>(which)) {
      details.open = open;
      details.toggleAttribute('data-unfolded', open);
    }
  }, isOpen);
}

/** Keeps the top of a page as WebP, which Playwright itself cannot write. The window is as high as the picture, so that a phone's rail is at its end. */
async function keepPicture(page: Page, path: string): Promise<void> {
  const { width, height } = await page.evaluate(() => ({
    width: document.documentElement.clientWidth,
    height: document.documentElement.scrollHeight,
  }));
  await page.setViewportSize({ width, height: Math.min(height, longestPicture) });
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', {
    format: 'webp',
    quality: 50,
    clip: { x: 0, y: 0, width, height: Math.min(height, longestPicture), scale: 1 },
  });
  await session.detach();
  writeFileSync(path, Buffer.from(data, 'base64'));
}

async function axeFindings(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const { violations } = await (window as unknown as { axe: typeof axe }).axe.run({
      resultTypes: ['violations'],
    });
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

/** Checks the weight of the first load of Today, with all of the demo's rows. */
export async function checkWeight({ address }: Demo): Promise<void> {
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
}
