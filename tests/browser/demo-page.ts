import type { Browser, Page } from 'playwright-core';
import { address } from './demo-figures.ts';

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until it is done or `endMs` (since the epoch) has passed. Returns whether it is done. */
export async function until(
  isDone: () => boolean | Promise<boolean>,
  endMs: number,
  everyMs = 2_000,
): Promise<boolean> {
  for (;;) {
    if (await isDone()) return true;
    if (Date.now() >= endMs) return false;
    await sleep(everyMs);
  }
}

/** Opens a page of the dashboard, Today by default. `errors` collects the page's errors. */
export async function openDashboard(
  browser: Browser,
  { path = '/', width = 1_280, height = 900, colorScheme = 'light' as 'light' | 'dark' } = {},
) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
  await page.goto(`${address}${path}`, { waitUntil: 'load' });
  const section = (name: string) => page.locator(`section[aria-labelledby="${name}"]`);
  return { page, errors, section };
}

/** Returns by how many pixels the page is wider than the window. */
export const overflowOf = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
