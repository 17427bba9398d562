import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { checkText, missingIn, patienceMs, watchPage } from './check.ts';

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until it is done. Returns false if it is not after `withinMs`. */
export async function until(
  isDone: () => boolean | Promise<boolean>,
  { withinMs = patienceMs, everyMs = 250 } = {},
): Promise<boolean> {
  const endMs = Date.now() + withinMs;
  for (;;) {
    if (await isDone()) return true;
    if (Date.now() >= endMs) return false;
    await sleep(everyMs);
  }
}

/** Opens an empty page. `errors` collects the errors of its scripts and its console. */
export async function newPage(browser: Browser, options: BrowserContextOptions = {}) {
  const context = await browser.newContext({ viewport: { width: 1_280, height: 900 }, ...options });
  const page = await context.newPage();
  watchPage(page);
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
  return { page, errors };
}

/** Goes to an address, and waits until the page is there in full and reacts to a click. */
export async function open(page: Page, url: string): Promise<void> {
  await page.goto(url, { waitUntil: 'load' });
  await untilReady(page);
}

/** Waits until no part of a page of the dashboard is missing, and React knows every element that a person can use. */
export async function untilReady(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const usable = document.querySelectorAll('a, button, input:not([type=hidden]), select, form');
    if (usable.length === 0 || document.querySelector('.animate-pulse') !== null) return false;
    return [...usable].every((one) => Object.keys(one).some((key) => key.startsWith('__reactProps$')));
  });
}

/** The section of a page with this id. */
export const sectionOf = (page: Page, id: string): Locator =>
  page.locator(`section[aria-labelledby="${id}"]`);

/** Checks that a part of a page shows all of these, at once or after a while. */
export async function checkShown(
  promise: string,
  part: Locator,
  parts: readonly (string | RegExp)[],
): Promise<void> {
  let text = '';
  await until(async () => {
    text = await part.innerText();
    return missingIn(text, parts).length === 0;
  });
  checkText(promise, text, parts);
}

/** Returns by how many pixels the page is wider than the window. */
export const overflowOf = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
