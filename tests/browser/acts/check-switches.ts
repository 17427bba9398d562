import type { Page } from 'playwright-core';
import { checkNone, figure } from '../check.ts';
import type { OwnStack } from './own-stack.ts';

/** The pages of the rail, with what stands first on each. */
const pages: [link: string, heading: string][] = [
  ['dm_queue', 'dm_queue'],
  ['Accounts', 'Accounts'],
  ['Actions', 'Actions'],
  ['Sequences', 'Sequences'],
  ['Posts', 'Posts'],
  ['Monitors', 'Monitors'],
  ['Schedules', 'Schedules'],
  ['Reports', 'Reports'],
  ['Activity', 'Activity'],
  ['Today', 'Today'],
];
const rounds = 2;

/**
 * Measures the switches between pages: from the click in the rail until the heading and the first rows are there. Prints the median, which depends on
 * the machine. Checks that a switch costs one call.
 */
export async function checkSwitches(stack: OwnStack): Promise<void> {
  const page = await stack.signIn('operator', 'Ola');
  for (const [link, heading] of pages) await switchTo(page, link, heading);
  const calls: string[] = [];
  page.on('request', (request) => {
    if (!/\/api\/pulse|icon.svg/.test(request.url())) calls.push(`${request.method()} ${request.url()}`);
  });
  const times: [number, string][] = [];
  const costly: [string, string[]][] = [];
  for (let round = 0; round < rounds; round++)
    for (const [link, heading] of pages) {
      calls.length = 0;
      times.push([await switchTo(page, link, heading), link]);
      if (calls.length > 1) costly.push([link, [...calls]]);
    }
  const sorted = times.map(([ms]) => ms).sort((a, b) => a - b);
  figure(
    `a page switch takes ${Math.round(sorted[sorted.length / 2] as number)} ms (median of ${sorted.length})`,
  );
  figure(times.map(([ms, link]) => `${link} ${Math.round(ms)}`).join(', '));
  checkNone('a page switch costs one call', costly);
}

/** Clicks a link of the rail. Returns the milliseconds until the page is drawn in full. */
async function switchTo(page: Page, link: string, heading: string): Promise<number> {
  return page.evaluate(
    async ([link, heading]) => {
      const anchor = [...document.querySelectorAll<HTMLAnchorElement>('nav.rail a')].find(
        (one) => one.firstChild?.textContent === link || one.querySelector('.truncate')?.textContent === link,
      );
      if (!anchor) throw new Error(`no link ${link}`);
      const began = performance.now();
      anchor.click();
      for (;;) {
        await new Promise(requestAnimationFrame);
        const title = document.querySelector('main h1')?.textContent;
        const parts = document.querySelector('main > div')?.children.length ?? 0;
        if (title === heading && parts > 1 && !document.querySelector('main .animate-pulse')) break;
        if (performance.now() - began > 60_000) throw new Error(`${link} was not drawn`);
      }
      return performance.now() - began;
    },
    [link, heading],
  );
}
