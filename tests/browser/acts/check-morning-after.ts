import type { Page, Request } from 'playwright-core';
import { check, checkNone, checkSame, checkText } from '../check.ts';
import { until } from '../page.ts';
import type { OwnStack } from './own-stack.ts';

/** Messages of each account. */
const each = 12;
/** What the second account may still send today. */
const leftToday = 8;
const sends = each + leftToday;

/**
 * Plays the morning after: messages of two accounts failed overnight for one reason. From Today to the proof that none went out twice, and that a
 * second click changes nothing.
 */
export async function checkMorningAfter(stack: OwnStack): Promise<void> {
  await failOvernight(stack);
  const page = await stack.signIn('operator', 'Mira');
  let clicks = 0;
  const click = async (role: 'link' | 'button', name: string | RegExp) => {
    clicks++;
    await page.getByRole(role, { name }).first().click();
  };
  const posts: Request[] = [];
  page.on('request', (request) => request.method() === 'POST' && posts.push(request));

  await click('link', /Look: dm_queue, 24 rows failed/);
  await page.waitForURL(/\/errors\/[0-9a-f]{8}/);
  await page.locator('#error').waitFor();
  checkText('the link of Today leads to the error', await page.locator('main').innerText(), [/131051/, /24/]);
  await click('link', /Retry 24 rows/);
  await page.getByText('It changes 24 rows.').waitFor();
  check('the dry run says the number, and changes nothing', (await dms(stack, 'failed')) === 24);
  await page.getByLabel(/Note/).fill('list repaired, ticket 4711');
  await click('button', 'Retry 24 rows');
  await page.waitForURL(/\/actions\/\d+$/);
  await click('button', 'Continue with 19 rows');
  await page.getByText('24 of 24').waitFor();
  await until(async () => {
    await stack.tick();
    return (await dms(stack, 'sent')) === sends;
  });
  const proof = page.locator('section[aria-labelledby="proof"]');
  await proof.getByText(/^20$/).waitFor();
  checkText('the page of the action proves that none was sent twice', await proof.innerText(), [
    /sent twice\s*0 ✓/i,
    /perhaps twice\s*0 ✓/i,
    /by the provider’s answer alone\s*20/i,
    /not sent\s*4/i,
  ]);
  check('from Today to the proof in at most 12 clicks', clicks <= 12, clicks);

  const texts = stack.sandbox.deliveries().map(({ text }) => text);
  checkSame(
    'each message is delivered once, by the sandbox’s log',
    [texts.length, new Set(texts).size],
    [sends, sends],
  );
  const ofSecond = stack.sandbox.deliveries().filter(({ account }) => account === 'second').length;
  check('an account’s limit holds for retried messages', ofSecond === leftToday, ofSecond);

  const { acts } = await stack.api('/api/audit?by=Mira');
  const said = acts.map(({ act, note }: { act: string; note: string | null }) => [act, note]);
  checkSame('the audit names the person and the note', said, [
    ['continue', null],
    ['retry', 'list repaired, ticket 4711'],
  ]);
  const [retry] = posts;
  if (!retry) throw new Error('the page sent no Server Function');
  await checkSecondClick(stack, page, retry);
  await checkViewer(stack, retry);
}

async function failOvernight(stack: OwnStack): Promise<void> {
  const account = { provider: 'whatsapp_cloud', daily_limit: 1_000 };
  const save = (id: string, more: object = {}) =>
    stack.api('/api/accounts', { ...account, provider_account_id: id, name: `The ${id}`, ...more });
  const ids = await Promise.all(['first', 'second'].map(async (id) => (await save(id)).account.id));
  // The sandbox refuses the first attempt of such a text, and accepts the second.
  const messages = ids.flatMap((id, n) =>
    Array.from({ length: each }, (_, m) => ({
      account_id: id,
      channel: 'whatsapp',
      recipient: `+351910000${n}${String(m).padStart(2, '0')}`,
      body: `Message ${m + 1} of account ${n + 1} [[131051]]`,
    })),
  );
  await stack.api('/api/dms', messages);
  // Five refusals in a row pause an account.
  const resume = () => Promise.all(ids.map((id) => stack.api(`/api/accounts/${id}/resume`, {})));
  const areFailed = async () => {
    await resume();
    await stack.tick();
    return (await dms(stack, 'failed')) === 2 * each;
  };
  check('24 messages of two accounts fail', await until(areFailed));
  await resume();
  await save('second', { daily_limit: leftToday });
}

async function dms(stack: OwnStack, status: string): Promise<number> {
  return (await stack.api(`/api/queues/dm_queue/rows?status=${status}&count=true&limit=1`)).count.count;
}

/** Sends a Server Function once more, with the cookies of `page`. */
async function repeat(page: Page, request: Request) {
  const { cookie: _, ...headers } = await request.allHeaders();
  const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':')));
  return page.request.post(request.url(), {
    headers: sent,
    data: request.postDataBuffer() ?? undefined,
    maxRedirects: 0,
  });
}

async function checkSecondClick(stack: OwnStack, page: Page, request: Request): Promise<void> {
  const response = await repeat(page, request);
  const { actions } = await stack.api('/api/actions');
  checkSame(
    'a second click leads to the same action, and changes nothing',
    [response.headers()['x-action-redirect']?.split(';')[0], actions.length],
    ['/actions/1', 1],
  );
  checkSame('and sends nothing', stack.sandbox.deliveries().length, sends);
}

async function checkViewer(stack: OwnStack, request: Request): Promise<void> {
  const page = await stack.signIn('viewer', 'Vera', '/queues/dm_queue/rows?status=failed');
  const buttons = async () =>
    (await page.locator('main').getByRole('button').allInnerTexts()).filter(Boolean);
  checkSame('a viewer sees no act on rows', await buttons(), ['Filter']);
  await stack.open(page, '/actions/1');
  await page.locator('#progress').waitFor();
  checkNone('and none on an action', await buttons());
  await stack.open(page, '/queues/dm_queue/act?act=retry&status=failed');
  await page.locator('#what').waitFor();
  checkNone('and none on the page that confirms it', await buttons());
  const before = await stack.api('/api/actions');
  const response = await repeat(page, request);
  checkText('a viewer’s call of the Server Function is refused', await response.text(), [
    'signed in as a viewer',
  ]);
  check('and starts nothing', JSON.stringify(await stack.api('/api/actions')) === JSON.stringify(before));
}
