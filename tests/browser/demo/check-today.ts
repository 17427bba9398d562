import type { Browser } from 'playwright-core';
import { checkText } from '../check.ts';
import { checkShown, newPage, open, sectionOf } from '../page.ts';
import type { Demo } from './demo.ts';

/** Checks that Today shows the queues and what is wrong, and leads to it. */
export async function checkToday({ address }: Demo, browser: Browser): Promise<void> {
  const { page } = await newPage(browser);
  await open(page, address);
  const words = [/dm_queue/, /posts/, /jobs/, /\d+ sent/, /\d+ published/, /\d+ done/];
  await checkShown('Today shows each queue with its own words', sectionOf(page, 'queues'), words);
  const needs = sectionOf(page, 'needs-you');
  await checkShown('Today names failed rows and monitors that are down', needs, [
    /\d+ rows? failed/,
    /monitors are down/,
  ]);
  await needs.getByRole('link', { name: /Look: jobs/ }).click();
  await page.locator('#error').waitFor();
  await sectionOf(page, 'samples').waitFor();
  checkText('its link leads to what failed', await sectionOf(page, 'samples').innerText(), [/Row \d+/]);
}
