import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdirSync } from 'node:fs';
import type { Page } from 'playwright-core';

/** How many checks have passed and failed so far. */
export const tally = { passed: 0, failed: 0 };
/** Pictures of what a failed check saw. */
export const resultsFolder = 'test-results';
/** Long enough for any machine: a wait ends by it only if something is broken. */
export const patienceMs = 180_000;

interface Group {
  name: string;
  pages: Page[];
  /** What failed checks still write about the pages. */
  reports: Promise<void>[];
}

const groups = new AsyncLocalStorage<Group>();
const startedAt = Date.now();
let pictures = 0;

function print(text: string): void {
  const seconds = String(Math.round((Date.now() - startedAt) / 1_000)).padStart(4);
  console.log(`${seconds} s  ${text}`);
}

/**
 * Runs checks under a name. Prints the seconds that they took, and closes the pages that they opened. An error counts as a failed check, and the
 * next group runs all the same.
 */
export async function group(name: string, run: () => Promise<void>): Promise<void> {
  const began = Date.now();
  const own: Group = { name, pages: [], reports: [] };
  await groups.run(own, async () => {
    try {
      await run();
    } catch (error) {
      check('runs to its end', false, error instanceof Error ? error.stack : error);
    }
  });
  await Promise.all(own.reports);
  for (const page of own.pages) await page.context().close();
  print(`= ${name}: ${Math.round((Date.now() - began) / 1_000)} s`);
}

/** Makes failed checks of the group that runs show this page. */
export function watchPage(page: Page): void {
  page.setDefaultTimeout(patienceMs);
  groups.getStore()?.pages.push(page);
}

/** Prints a measurement. No check depends on it. */
export const figure = (text: string) => print(`  ${groups.getStore()?.name}: ${text}`);

/** Counts and prints whether a promise holds. If not, prints `found`, and what the group's pages show. */
export function check(promise: string, holds: boolean, found?: unknown): void {
  const own = groups.getStore();
  if (holds) tally.passed++;
  else tally.failed++;
  const text = typeof found === 'string' ? found : JSON.stringify(found);
  print(`${holds ? '✓' : '✗'} ${own?.name}: ${promise}${holds ? '' : `\n        found ${text}`}`);
  if (!holds && own)
    for (const page of own.pages.filter((one) => !one.isClosed())) own.reports.push(report(page));
}

/** Keeps a picture of a page, and prints its address and its text. */
async function report(page: Page): Promise<void> {
  mkdirSync(resultsFolder, { recursive: true });
  const path = `${resultsFolder}/failed-${++pictures}.png`;
  const address = page.url();
  const [text] = await Promise.all([
    page.evaluate(() => document.body.innerText).catch(String),
    page.screenshot({ path, fullPage: true }).catch(() => undefined),
  ]);
  print(
    `  ${address} (${path}) shows:\n${text
      .replace(/\n\s*\n/g, '\n')
      .slice(0, 3_000)
      .replace(/^/gm, '        | ')}`,
  );
}

/** Checks that nothing is found. */
export const checkNone = (promise: string, found: readonly unknown[]) =>
  check(promise, found.length === 0, found);

/** Checks that the found value is the expected one, as JSON. */
export const checkSame = (promise: string, found: unknown, expected: unknown) =>
  check(promise, JSON.stringify(found) === JSON.stringify(expected), { found, expected });

/** Checks that a figure is large enough. */
export const checkAtLeast = (promise: string, found: number, least: number) =>
  check(promise, found >= least, found);

/** Returns the parts that a text lacks. */
export const missingIn = (text: string, parts: readonly (string | RegExp)[]) =>
  parts.filter((part) => (typeof part === 'string' ? !text.includes(part) : !part.test(text)));

/** Checks that a text has all parts. */
export function checkText(promise: string, text: string, parts: readonly (string | RegExp)[]): void {
  const missing = missingIn(text, parts);
  check(promise, missing.length === 0, { missing: missing.map(String), text });
}
