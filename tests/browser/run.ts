/**
 * Tests the demo in Chromium as a newcomer sees it: `npm run test:browser`. Starts `npm run demo`, compares the dashboard with the sandbox's
 * own log for some minutes, opens every page at desktop and phone size, light and dark, and ends the demo with Ctrl-C's signal. Then it
 * starts an app with a password over the demo's data and signs in.
 *
 * `--keep` saves a picture of Today as docs/dashboard.png. `--acts` only tests what people change, on an app of its own with the build that is there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { check, checkAtLeast, checkSame, checkText, tally } from './check.ts';
import { checkActs } from './check-acts.ts';
import { checkMonitors } from './check-monitors.ts';
import { checkMorningAfter } from './check-morning-after.ts';
import { checkPages, checkPrice, checkStale } from './check-pages.ts';
import { checkJobs, checkPosts } from './check-rows.ts';
import { checkContinuations, checkSchedulers } from './check-schedulers.ts';
import { checkSequences } from './check-sequences.ts';
import { checkSignedIn } from './check-signed-in.ts';
import { address, countRepeats, type Figures, figures, port, sandboxPort } from './demo-figures.ts';
import { openDashboard, sleep, until } from './demo-page.ts';
import { startOwnStack } from './own-stack.ts';

const pictures = 'test-results';

function launch(): Promise<Browser> {
  const places = ['chromium', 'chromium-browser', 'google-chrome'].map((name) => `/usr/bin/${name}`);
  const executablePath = [process.env.CHROMIUM_PATH, ...places].find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('Chromium is missing: npm run stack:install, or set CHROMIUM_PATH');
  const quiet = ['first-run', 'sandbox'].map((what) => `--no-${what}`);
  const off = ['gpu', 'quic', 'background-networking', 'component-update', 'sync'].map(
    (what) => `--disable-${what}`,
  );
  return chromium.launch({ executablePath, args: [...quiet, ...off] });
}

interface Demo {
  demo: ChildProcess;
  secret: string;
  apiKey: string;
  /** Everything that it has printed so far. */
  output(): string;
}

/** Starts the demo. Resolves when it has printed its address and its secrets. */
async function startDemo(): Promise<Demo> {
  const args = ['run', 'demo', '--', '--port', `${port}`, '--sandbox-port', `${sandboxPort}`, '--fresh'];
  const demo = spawn('npm', args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  let printed = '';
  demo.stdout?.on('data', (chunk) => {
    printed += chunk;
  });
  let started: Demo | null = null;
  await until(
    () => {
      const secret = /CRON_SECRET\s+(\S+)/.exec(printed)?.[1];
      const apiKey = /API_KEY\s+(\S+)/.exec(printed)?.[1];
      if (secret && apiKey && printed.includes(address))
        started = { demo, secret, apiKey, output: () => printed };
      return started !== null || demo.exitCode !== null;
    },
    Date.now() + 240_000,
    250,
  );
  if (started) return started;
  throw new Error(`the demo did not start:\n${printed}`);
}

function printFigures({ sent, unknown, delivered, resolved }: Figures, startedAt: number): void {
  const seconds = Math.round((Date.now() - startedAt) / 1_000);
  console.log(
    `  ${sent} sent, ${unknown} unknown, ${resolved} resolved, ${delivered.length} delivered after ${seconds} s`,
  );
}

async function checkCurl(secret: string): Promise<void> {
  const call = (token?: string) =>
    fetch(`${address}/api/cron/dm-queue`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  checkSame('a cron endpoint refuses a call without the secret', (await call()).status, 401);
  checkSame('a cron endpoint refuses a wrong secret', (await call(`${secret}x`)).status, 401);
  const report = await call(secret);
  const { queue } = await report.json();
  const found = [report.status, queue];
  checkSame('a cron endpoint returns a report for the right secret', found, [200, 'dm_queue']);
  const many = await Promise.all(Array.from({ length: 100 }, async () => (await call(secret)).status));
  checkSame('100 calls at once all get a 200', [...new Set(many)], [200]);
  const { status } = await fetch(`${address}/api/dms`, { method: 'POST' });
  checkSame('the API refuses a call without a key', status, 401);
}

async function checkToday(browser: Browser): Promise<void> {
  const { page, section } = await openDashboard(browser);
  const words = [/dm_queue/, /posts/, /jobs/, /\d+ sent/, /\d+ published/, /\d+ done/];
  checkText('Today shows each queue with its own words', await section('queues').innerText(), words);
  const needs = [/\d+ rows? failed/, /monitors are down/];
  checkText(
    'Today names failed rows and monitors that are down',
    await section('needs-you').innerText(),
    needs,
  );
  await section('needs-you')
    .getByRole('link', { name: /Look: jobs/ })
    .click();
  await page.locator('#error').waitFor({ timeout: 10_000 });
  checkText('its link leads to what failed', await section('samples').innerText(), [/Row \d+/]);
  await page.close();
}

async function main(): Promise<void> {
  mkdirSync(pictures, { recursive: true });
  const { demo, secret, apiKey, output } = await startDemo();
  const startedAt = Date.now();
  let browser: Browser | null = null;
  try {
    await checkCurl(secret);
    browser = await launch();
    await sleep(30_000);
    let now = await figures(apiKey);
    /** Waits until the figures are so. */
    const untilFigures = (areThere: (now: Figures) => boolean, withinMs: number) =>
      until(async () => {
        now = await figures(apiKey);
        return areThere(now);
      }, startedAt + withinMs);
    const noneTwice = (promise: string, delivered: Figures['delivered']) =>
      checkSame(promise, countRepeats(delivered), 0);
    await untilFigures(
      ({ sent, published, jobsDone }) => sent >= 150 && published >= 15 && jobsDone >= 39,
      90_000,
    );
    checkAtLeast('at least 150 of 200 messages are sent within 90 s', now.sent, 150);
    noneTwice('the sandbox delivered no message twice', now.delivered);
    checkAtLeast('every sent message was delivered', now.delivered.length, now.sent);
    printFigures(now, startedAt);
    await checkPosts(apiKey);
    await checkJobs(apiKey);
    const retried = /retried with .*: 1 done, 1 failed again/;
    checkText('the demo prints the outcome of the retried jobs', output(), [retried]);
    const checks = /[1-9]\d* checks · [1-9]\d* incidents opened/;
    checkText('the demo prints checks and incidents', output(), [checks]);
    await checkContinuations(secret, apiKey);
    await checkToday(browser);
    await checkMonitors(apiKey, browser, startedAt);
    await checkPages(apiKey, browser, pictures);
    if (process.argv.includes('--keep'))
      copyFileSync(`${pictures}/today-desk-light.png`, 'docs/dashboard.png');
    await checkPrice(browser);
    await checkStale(browser);
    await checkSequences(apiKey, browser, startedAt);
    await checkSchedulers(secret, apiKey, browser);
    // A check or a webhook resolves the rows whose message was delivered and whose response was lost.
    await untilFigures(({ sent, delivered, resolved }) => sent >= delivered.length && resolved > 0, 420_000);
    printFigures(now, startedAt);
    const late = 'every delivered message ends as sent, even if its response was lost';
    checkSame(late, now.sent, now.delivered.length);
    checkAtLeast('a check or a webhook resolved at least one of them', now.resolved, 1);
    noneTwice('the sandbox still delivered no message twice', now.delivered);
    noneTwice('the sandbox published no post twice', now.posted);
  } finally {
    await browser?.close();
    const ended = new Promise<string>((resolve) =>
      demo.once('exit', (code, signal) => resolve(signal ?? `${code}`)),
    );
    // Sends the signal to the whole process group, as a terminal does. It also ends npm's own shell.
    if (demo.pid) process.kill(-demo.pid, 'SIGINT');
    const how = await Promise.race([ended, sleep(30_000).then(() => 'still running')]);
    check('Ctrl-C ends the demo', ['0', 'SIGINT', '130'].includes(how), how);
    await sleep(3_000);
    const after = await fetch(address).then(
      () => 'responds',
      () => 'gone',
    );
    check('the app no longer responds after Ctrl-C', after === 'gone', after);
  }

  browser = await launch();
  await checkSignedIn(browser).finally(() => browser?.close());
  await testActs();
}

/** Starts an app with passwords over an empty database, and changes rows on its dashboard. */
async function testActs(): Promise<void> {
  const browser = await launch();
  const stack = await startOwnStack(browser);
  try {
    await checkMorningAfter(stack);
    await checkActs(stack);
  } finally {
    await browser.close();
    await stack.end();
  }
}

await (process.argv.includes('--acts') ? testActs() : main()).catch((error) => {
  console.error(error);
  check('the test ran to its end', false, String(error));
});
const { passed, failed } = tally;
console.log(`\nbrowser: ${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
