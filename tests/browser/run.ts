/**
 * Tests the dashboard in Chromium: `npm run test:browser`, after `npm run build`. Starts `npm run demo`, compares its dashboard with the sandbox's own
 * log for some minutes, opens every page at desktop and phone size, light and dark, and ends the demo with Ctrl-C's signal. Beside it, starts an app
 * with passwords over an empty database, and changes everything that people can change.
 *
 * `--acts` only tests what people change, `--demo` only the demo. `--keep` keeps pictures of the pages in docs/pictures.
 */
import { mkdirSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { checkActs } from './acts/check-acts.ts';
import { checkChanges } from './acts/check-changes.ts';
import { checkContinuations } from './acts/check-continuations.ts';
import { checkMorningAfter } from './acts/check-morning-after.ts';
import { checkPeople } from './acts/check-people.ts';
import { checkPrice } from './acts/check-price.ts';
import { checkRefusals } from './acts/check-refusals.ts';
import { checkSecurity } from './acts/check-security.ts';
import { checkSwitches } from './acts/check-switches.ts';
import { startOwnStack } from './acts/own-stack.ts';
import { group, resultsFolder, tally } from './check.ts';
import { launch } from './chromium.ts';
import { checkMonitors } from './demo/check-monitors.ts';
import { checkPages, checkWeight } from './demo/check-pages.ts';
import { addLost, checkCurl, checkLost, checkRows } from './demo/check-rows.ts';
import { checkSchedulers } from './demo/check-schedulers.ts';
import { checkSequences } from './demo/check-sequences.ts';
import { checkToday } from './demo/check-today.ts';
import { type Demo, startDemo } from './demo/demo.ts';

const isChosen = (option: string) => process.argv.includes(option);

async function testDemo(browser: Browser, demo: Demo): Promise<void> {
  const folder = isChosen('--keep') ? 'docs/pictures' : null;
  let lost = '';
  await group('calls', async () => {
    await checkCurl(demo);
    lost = await addLost(demo);
  });
  await group('rows', () => checkRows(demo));
  await group('today', () => checkToday(demo, browser));
  await group('schedulers', () => checkSchedulers(demo, browser));
  await group('monitors', () => checkMonitors(demo, browser));
  await group('weight', () => checkWeight(demo));
  await group('pages', () => checkPages(demo, browser, folder));
  await group('sequences', () => checkSequences(demo, browser));
  await group('lost responses', () => checkLost(demo, lost));
}

async function testActs(browser: Browser): Promise<void> {
  const stack = await startOwnStack(browser);
  try {
    await group('morning after', () => checkMorningAfter(stack));
    await group('acts', () => checkActs(stack));
    await group('changes', () => checkChanges(stack));
    await group('people', () => checkPeople(stack));
    await group('continuations', () => checkContinuations(stack));
    await group('price', () => checkPrice(stack));
    await group('refusals', () => checkRefusals(stack));
    await group('switches', () => checkSwitches(stack));
    await group('security', () => checkSecurity(stack, browser));
  } finally {
    await stack.end();
  }
}

async function main(): Promise<void> {
  mkdirSync(resultsFolder, { recursive: true });
  const browser = await launch();
  try {
    // The demo builds the app if its sources have changed. Both use the build.
    const demo = isChosen('--acts') ? null : await startDemo();
    await Promise.all([
      demo && testDemo(browser, demo).finally(() => group('the end', demo.end)),
      isChosen('--demo') ? null : group('an app with passwords', () => testActs(browser)),
    ]);
  } finally {
    await browser.close();
  }
}

await group('everything', main);
const { passed, failed } = tally;
console.log(`\nbrowser: ${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
