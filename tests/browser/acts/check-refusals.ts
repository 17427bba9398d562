import type { Page } from 'playwright-core';
import { check, checkNone, checkSame, checkText } from '../check.ts';
import { type OwnStack, type SentAct, viewerApiKey } from './own-stack.ts';

/** The Server Functions of app/(dashboard): of acts, settings, accounts and errors. */
const serverFunctions = 11;
/** The routes of the API that the dashboard's buttons call. */
const routes = [
  '/api/enrolments/:id/pause',
  '/api/enrolments/:id/resume',
  '/api/enrolments/:id/stop',
  '/api/queues/dm_queue/rows/:id/resolve',
  '/api/refusals/end',
];

/** Sends an act once more, with the cookies of `page`. */
export async function repeat(page: Page, act: SentAct, more: Record<string, string> = {}) {
  const { cookie: _, ...headers } = await act.headers;
  const sent = Object.entries({ ...headers, ...more }).filter(([name]) => !name.startsWith(':'));
  return page.request.post(act.url, {
    headers: Object.fromEntries(sent),
    data: act.body ?? undefined,
    maxRedirects: 0,
  });
}

/** Repeats each act that operators did before, as a viewer, with a viewer's key and from another site. None may change anything. */
export async function checkRefusals(stack: OwnStack): Promise<void> {
  const acts = [...stack.acts];
  const [functions, calls] = [true, false].map((isFunction) =>
    acts.map(([name]) => name).filter((name) => name.startsWith('function ') === isFunction),
  );
  checkSame('each Server Function was called', functions?.length, serverFunctions);
  checkSame('each route of a button was called', calls?.sort(), routes);
  const before = await latestAct(stack);
  const viewer = await stack.signIn('viewer', 'Vera');
  await checkRefused('a viewer', acts, (act) => repeat(viewer, act), 'signed in as a viewer');
  const operator = await stack.signIn('operator', 'Ola');
  const elsewhere = { origin: 'https://elsewhere.example', 'sec-fetch-site': 'cross-site' };
  await checkRefused('another site', acts, (act) => repeat(operator, act, elsewhere));
  const withKey = await fetch(`${stack.address}/api/queues/jobs/pause`, {
    method: 'POST',
    headers: { authorization: `Bearer ${viewerApiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ reason: 'a viewer may not' }),
  });
  checkSame('a viewer’s key is refused', withKey.status, 403);
  checkSame('and nothing was changed', await latestAct(stack), before);
  await checkPages(stack, viewer);
}

async function checkRefused(
  who: string,
  acts: [string, SentAct][],
  send: (act: SentAct) => ReturnType<typeof repeat>,
  words = '',
): Promise<void> {
  const accepted: unknown[] = [];
  for (const [name, act] of acts) {
    const response = await send(act);
    const text = await response.text();
    const isRefused = [401, 403, 500].includes(response.status()) || /"(problem|failure)":/.test(text);
    if (!isRefused || !text.includes(words)) accepted.push([name, act.url, response.status(), text]);
  }
  checkNone(`${who} is refused each of them`, accepted);
}

/** The audit's latest act, which any change would follow. */
async function latestAct(stack: OwnStack): Promise<unknown> {
  return (await stack.api('/api/audit?limit=1')).acts[0];
}

/** Checks that a viewer's pages have no button that changes anything. */
async function checkPages(stack: OwnStack, page: Page): Promise<void> {
  const { accounts } = await stack.api('/api/accounts?limit=1');
  const { errors } = await stack.api('/api/queues/jobs/errors');
  const { enrolments } = await stack.api('/api/enrolments?limit=1');
  const { rows } = await stack.api('/api/queues/dm_queue/rows?status=unknown&limit=1');
  const paths = [
    '/queues/dm_queue',
    '/queues/dm_queue/rows?status=failed',
    '/queues/dm_queue/act?act=retry&status=failed',
    `/queues/dm_queue/rows/${rows[0].id}`,
    `/queues/jobs/errors/${errors[0].id}`,
    '/queues/jobs/settings',
    `/accounts/${accounts[0].id}`,
    `/sequences/${enrolments[0].sequence_id}/people/${enrolments[0].id}`,
    '/actions/1',
  ];
  const found: [string, string[]][] = [];
  for (const path of paths) {
    await stack.open(page, path);
    const buttons = await page.locator('main').getByRole('button').allInnerTexts();
    const acts = buttons.filter((text) => text !== '' && text !== 'Filter');
    if (acts.length > 0) found.push([path, acts]);
  }
  checkNone('a viewer’s pages have no button that changes anything', found);
  await stack.open(page, '/queues/jobs/settings');
  checkText('and still show the settings', await page.locator('main').innerText(), [/Rows at once/]);
  check('without a field', (await page.locator('main input').count()) === 0);
}
