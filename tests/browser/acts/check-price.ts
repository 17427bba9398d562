import type { Page } from 'playwright-core';
import { check, checkNone, checkSame, checkText } from '../check.ts';
import { sectionOf, until } from '../page.ts';
import type { OwnStack } from './own-stack.ts';

/** Less than the time between two calls. */
const stepSeconds = 10;

/** A page with a clock of its own: its timers fire only while the clock is moved. */
interface ClockedPage {
  page: Page;
  /** Its calls so far, oldest first. */
  calls: string[];
  /** Moves the clock by steps, and lets the server answer before the next one. */
  pass(seconds: number): Promise<void>;
}

/** Checks how often an open page calls the server: in use, left alone and hidden. */
export async function checkPrice(stack: OwnStack): Promise<void> {
  const clocked = await openClocked(stack);
  const { page, calls, pass } = clocked;
  const during = async (minutes: number, isTouched = false) => {
    calls.length = 0;
    for (let minute = 0; minute < minutes; minute++) {
      if (isTouched) await page.mouse.move(100 + minute, 100);
      await pass(60);
    }
    return [...calls];
  };
  const quiet = await during(5, true);
  check('an open page makes at most 360 calls an hour', quiet.length <= 30 && quiet.length > 25, quiet);
  // A pulse that always changes has the page rendered anew each time: the most that a page can cost.
  let pulses = 0;
  await page.route('**/api/pulse', (route) =>
    route.fulfill({ json: { queues: { dm_queue: `${++pulses}` }, actions: {}, act: null } }),
  );
  const busy = await during(5, true);
  check('also if its figures change all the time', busy.length <= 30 && busy.length > 25, busy);
  await during(3);
  const alone = await during(10);
  check('a page that is left alone makes at most 60', alone.length <= 10 && alone.length > 5, alone);
  await page.unroute('**/api/pulse');
  // A headless browser never hides a page by itself.
  await page.evaluate(
    `Object.defineProperty(document, 'visibilityState', { get: () => 'hidden', configurable: true });
     document.dispatchEvent(new Event('visibilitychange'));`,
  );
  checkNone('a hidden page makes no call', await during(10));
  await checkUpdate(stack, clocked);
  await checkStale(clocked);
}

/** Checks that what another person does shows without a reload. */
async function checkUpdate(stack: OwnStack, { page, pass }: ClockedPage): Promise<void> {
  await page.evaluate(
    `Object.defineProperty(document, 'visibilityState', { get: () => 'visible' });
     document.dispatchEvent(new Event('visibilitychange'));`,
  );
  await stack.api('/api/queues/posts/pause', { reason: 'seen without a reload' });
  const main = page.locator('main');
  const isShown = async () => {
    await pass(10);
    return (await main.innerText()).includes('seen without a reload');
  };
  check('the page updates without a reload', await until(isShown), await main.innerText());
  await stack.api('/api/queues/posts/resume', {});
}

/** Checks that a server that does not answer leaves the figures, greyed, with their time. */
async function checkStale({ page, pass }: ClockedPage): Promise<void> {
  const queues = sectionOf(page, 'queues').locator('table').first();
  /** What the table says, without its times, which the browser counts on. */
  const read = () =>
    queues.evaluate((table) => {
      const copy = table.cloneNode(true) as HTMLElement;
      for (const time of copy.querySelectorAll('time')) time.remove();
      return copy.textContent;
    });
  const shown = await read();
  await page.route('**/api/pulse', (route) =>
    route.fulfill({ status: 503, json: { error: { message: 'the database cannot be reached' } } }),
  );
  await pass(130);
  const notice = page.getByRole('alert').filter({ hasText: 'These figures are stale' });
  await notice.waitFor();
  checkText('a failing server is named', await notice.innerText(), [
    /current at \d\d:\d\d:\d\d/,
    /the database cannot be reached/i,
  ]);
  checkSame('the figures stay', await read(), shown);
  await page.unroute('**/api/pulse');
  const goes = async () => {
    await pass(10);
    return (await notice.count()) === 0;
  };
  check('the notice goes when the server answers', await until(goes));
}

async function openClocked(stack: OwnStack): Promise<ClockedPage> {
  const page = await stack.signIn('operator', 'Price');
  await page.clock.install();
  await stack.open(page, '/');
  await page.clock.pauseAt(Date.now() + 60_000);
  const calls: string[] = [];
  const running = new Set<object>();
  page.on('request', (request) => {
    if (request.url().includes('/icon.svg')) return;
    calls.push(request.url());
    running.add(request);
  });
  const end = (request: object) => running.delete(request);
  page.on('requestfinished', end);
  page.on('requestfailed', end);
  const pass = async (seconds: number) => {
    for (let passed = 0; passed < seconds; passed += stepSeconds) {
      await page.clock.runFor(stepSeconds * 1_000);
      await until(() => running.size === 0, { everyMs: 5 });
    }
  };
  return { page, calls, pass };
}
