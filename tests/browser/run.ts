/**
 * Tests the demo in Chromium as a newcomer sees it: `npm run test:browser`. Starts `npm run demo`, compares the dashboard with the sandbox's
 * own log for up to four minutes, opens the page at desktop and phone size, light and dark, and ends the demo with Ctrl-C's signal. Then it
 * starts an app with a password over the demo's data and signs in.
 *
 * `--keep` saves a picture of the dashboard as docs/dashboard.png.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';
import { check, tally } from './check.ts';
import { checkMonitors } from './check-monitors.ts';
import { checkJobs, checkPosts } from './check-rows.ts';
import { checkContinuations, checkSchedulers } from './check-schedulers.ts';
import { checkSequences } from './check-sequences.ts';
import { checkSignedIn } from './check-signed-in.ts';
import { address, countRepeats, type Figures, figures, port, sandboxPort } from './demo-figures.ts';

const pictures = 'test-results';
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function chromiumPath(): string {
  const found = [
    process.env.CHROMIUM_PATH,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ].find((path) => path && existsSync(path));
  if (!found) throw new Error('Chromium is missing: npm run stack:install, or set CHROMIUM_PATH');
  return found;
}

function launch(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
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
  for (let waited = 0; waited < 240_000; waited += 250) {
    const secret = /CRON_SECRET\s+(\S+)/.exec(printed)?.[1];
    const apiKey = /API_KEY\s+(\S+)/.exec(printed)?.[1];
    if (secret && apiKey && printed.includes(address)) return { demo, secret, apiKey, output: () => printed };
    if (demo.exitCode !== null) break;
    await sleep(250);
  }
  throw new Error(`the demo did not start:\n${printed}`);
}

function printFigures({ sent, unknown, delivered, resolved }: Figures, startedAt: number): void {
  const seconds = Math.round((Date.now() - startedAt) / 1_000);
  console.log(
    `  ${sent} sent, ${unknown} unknown, ${resolved} resolved, ${delivered.length} delivered after ${seconds} s`,
  );
}

async function checkCurl(secret: string): Promise<void> {
  const cron = `${address}/api/cron/dm-queue`;
  const call = (token?: string) =>
    fetch(cron, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  check('a cron endpoint refuses a call without the secret', (await call()).status === 401);
  check('a cron endpoint refuses a wrong secret', (await call(`${secret}x`)).status === 401);
  const report = await call(secret);
  const body = await report.json();
  check(
    'a cron endpoint returns a report for the right secret',
    report.status === 200 && body.queue === 'dm_queue',
    body,
  );
  const many = await Promise.all(Array.from({ length: 100 }, async () => (await call(secret)).status));
  check(
    '100 calls at once all get a 200',
    many.every((status) => status === 200),
    many,
  );
  check(
    'the API refuses a call without a key',
    (await fetch(`${address}/api/dms`, { method: 'POST' })).status === 401,
  );
}

async function checkDashboard(browser: Browser): Promise<void> {
  for (const [name, width, height, colorScheme] of [
    ['desk-light', 1_280, 900, 'light'],
    ['desk-dark', 1_280, 900, 'dark'],
    ['phone-light', 390, 844, 'light'],
    ['phone-dark', 390, 844, 'dark'],
  ] as const) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme });
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
    await page.goto(address, { waitUntil: 'load' });
    const text = await page.locator('body').innerText();
    check(
      `${name}: the dashboard shows a queue with its own words`,
      /dm_queue/.test(text) && /sent/i.test(text) && /unknown/i.test(text),
    );
    const overview = await page.locator('section[aria-labelledby="overview"]').innerText();
    const missing = [
      /dm_queue/,
      /\d+ sent/,
      /posts/,
      /\d+ published/,
      /jobs/,
      /blocking/,
      /default/,
      /\d+ done/,
    ].filter((part) => !part.test(overview));
    check(`${name}: the overview shows messages, posts and the jobs of each queue`, missing.length === 0, [
      missing.map(String),
      overview,
    ]);
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    check(`${name}: the page does not overflow`, overflow <= 0, overflow);
    const before = await page.locator('body').innerText();
    await page
      .waitForFunction((old) => document.body.innerText !== old, before, { timeout: 15_000 })
      .catch(() => {});
    check(`${name}: the page updates without a reload`, (await page.locator('body').innerText()) !== before);
    check(`${name}: the page has no errors`, errors.length === 0, errors);
    await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
    await page.close();
  }
}

async function main(): Promise<void> {
  mkdirSync(pictures, { recursive: true });
  const executablePath = chromiumPath();
  const { demo, secret, apiKey, output } = await startDemo();
  const startedAt = Date.now();
  let browser: Browser | null = null;
  try {
    await checkCurl(secret);
    browser = await launch(executablePath);
    await sleep(30_000);
    await checkDashboard(browser);
    let now = await figures(apiKey);
    const isThere = ({ sent, published, jobsDone }: Figures) =>
      sent >= 150 && published >= 15 && jobsDone >= 39;
    while (!isThere(now) && Date.now() - startedAt < 90_000) {
      await sleep(2_000);
      now = await figures(apiKey);
    }
    check('at least 150 of 200 messages are sent within 90 s', now.sent >= 150, now.sent);
    check(
      'the sandbox delivered no message twice',
      countRepeats(now.delivered) === 0 && now.delivered.length > 0,
      countRepeats(now.delivered),
    );
    check('every sent message was delivered', now.delivered.length >= now.sent, now.delivered.length);
    printFigures(now, startedAt);
    await checkPosts(apiKey);
    await checkJobs(apiKey);
    check(
      'the demo prints the outcome of the retried jobs',
      /retried with .*: 1 done, 1 failed again/.test(output()),
      output(),
    );
    check(
      'the demo prints checks and incidents',
      /[1-9]\d* checks · [1-9]\d* incidents opened/.test(output()),
      output(),
    );
    await checkContinuations(secret, apiKey);
    const keep = process.argv.includes('--keep') ? 'docs/dashboard.png' : null;
    await checkMonitors(apiKey, browser, startedAt, keep);
    await checkSequences(apiKey, browser, startedAt);
    await checkSchedulers(secret, apiKey, browser);
    // A check or a webhook resolves the rows whose message was delivered and whose response was lost.
    while ((now.sent < now.delivered.length || now.resolved === 0) && Date.now() - startedAt < 240_000) {
      await sleep(2_000);
      now = await figures(apiKey);
    }
    printFigures(now, startedAt);
    check(
      'every delivered message ends as sent, even if its response was lost',
      now.sent === now.delivered.length,
      [now.sent, now.delivered.length],
    );
    check('a check or a webhook resolved at least one of them', now.resolved > 0, now.resolved);
    check(
      'the sandbox still delivered no message twice',
      countRepeats(now.delivered) === 0,
      countRepeats(now.delivered),
    );
    check('the sandbox published no post twice', countRepeats(now.posted) === 0, countRepeats(now.posted));
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

  browser = await launch(executablePath);
  await checkSignedIn(browser).finally(() => browser?.close());
}

await main().catch((error) => {
  console.error(error);
  check('the test ran to its end', false, String(error));
});
const { passed, failed } = tally;
console.log(`\nbrowser: ${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
