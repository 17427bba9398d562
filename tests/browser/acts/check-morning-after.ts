import type { Page } from 'playwright-core';
import { check, checkSame, checkText, figure } from '../check.ts';
import { until } from '../page.ts';
import { repeat } from './check-refusals.ts';
import { keepAct, type OwnStack, type SentAct } from './own-stack.ts';

/** Failed messages of each account. */
const each = 250;
const failed = 2 * each;
/** Between two refusals of a kind, so that no five in a row pause the account. */
const inARow = 4;
/** Messages of each account that were sent during the night. */
const sentBefore = Math.ceil(each / inARow);
/** What the second account may still send today. */
const leftToday = 150;
const sends = each + leftToday;

/**
 * Plays the morning after: 500 messages of two accounts failed overnight for one reason, and one more for another. From Today to the proof that none
 * went out twice, and that a second click changes nothing.
 */
export async function checkMorningAfter(stack: OwnStack): Promise<void> {
  const began = Date.now();
  const seconds = () => `${Math.round((Date.now() - began) / 1_000)} s`;
  await failOvernight(stack);
  figure(`${failed} messages failed after ${seconds()}`);
  const page = await stack.signIn('operator', 'Mira');
  let clicks = 0;
  const click = async (role: 'link' | 'button', name: string | RegExp) => {
    clicks++;
    await page.getByRole(role, { name }).first().click();
  };
  const posts: SentAct[] = [];
  page.on('request', (request) => request.method() === 'POST' && posts.push(keepAct(request)));

  await click('link', /Look: dm_queue, 50\d rows failed/);
  await page.waitForURL(/\/errors\/[0-9a-f]{8}/);
  await page.locator('#error').waitFor();
  checkText('the link of Today leads to the error', await page.locator('main').innerText(), [
    /131051/,
    /500/,
  ]);
  await click('link', 'Open rows');
  await click('link', 'Remove the filter error group');
  await page.getByText('All 501 rows that match:').waitFor();
  clicks++;
  await page.getByText('More filters').click();
  await page.getByLabel('Kind of error').fill('rejected');
  await click('button', 'Filter');
  await page.getByText('All 500 rows that match:').waitFor();
  check('the filter by the kind of error leaves out the other failed row', true);
  await click('button', 'Retry…');
  await page.getByText('It changes 500 rows.').waitFor();
  check('the dry run says 500, and changes nothing', (await dms(stack, 'failed')) === failed + 1);
  await page.getByLabel(/Note/).fill('list repaired, ticket 4711');
  await click('button', 'Retry 500 rows');
  await page.waitForURL(/\/actions\/\d+$/);
  await click('button', 'Continue with 495 rows');
  await page.getByText('500 of 500').waitFor();
  figure(`they are pending again after ${seconds()}`);
  await until(async () => {
    await stack.tick();
    return (await dms(stack, 'sent')) === 2 * sentBefore + sends;
  });
  figure(`they are sent after ${seconds()}`);
  const proof = page.locator('section[aria-labelledby="proof"]');
  await proof.getByText(/^400$/).waitFor();
  figure(`the page proves it after ${seconds()}`);
  checkText('the page of the action proves that none was sent twice', await proof.innerText(), [
    /sent twice\s*0 ✓/i,
    /perhaps twice\s*0 ✓/i,
    /by the provider’s answer alone\s*400/i,
    /not sent\s*100/i,
  ]);
  check('from Today to the proof in at most 12 clicks', clicks <= 12, clicks);

  checkSame('each message is delivered once, by the sandbox’s log', deliveries(stack), {
    retried: sends,
    different: sends,
    ofSecond: leftToday,
  });
  const { acts } = await stack.api('/api/audit?by=Mira');
  const said = acts.map(({ act, note }: { act: string; note: string | null }) => [act, note]);
  checkSame('the audit names the person and the note', said, [
    ['continue', null],
    ['retry', 'list repaired, ticket 4711'],
  ]);
  const [retry] = posts;
  if (!retry) throw new Error('the page sent no Server Function');
  await checkSecondClick(stack, page, retry);
}

/** Counts the deliveries of messages that had failed. The limit of the second account holds for them, too. */
function deliveries(stack: OwnStack) {
  const own = stack.sandbox.deliveries().filter(({ text }) => text.includes('[[131051]]'));
  return {
    retried: own.length,
    different: new Set(own.map(({ text }) => text)).size,
    ofSecond: own.filter(({ account }) => account === 'second').length,
  };
}

async function failOvernight(stack: OwnStack): Promise<void> {
  const account = { provider: 'whatsapp_cloud', daily_limit: 10_000 };
  const save = (id: string, more: object = {}) =>
    stack.api('/api/accounts', { ...account, provider_account_id: id, name: `The ${id}`, ...more });
  const ids = await Promise.all(['first', 'second'].map(async (id) => (await save(id)).account.id));
  for (const [n, id] of ids.entries()) await stack.api('/api/dms', messagesOf(id, n + 1));
  const areTried = async () => {
    await stack.tick();
    return (await dms(stack, 'failed')) === failed && (await dms(stack, 'sent')) === 2 * sentBefore;
  };
  check('500 messages of two accounts fail', await until(areTried, { withinMs: 600_000, everyMs: 0 }));
  await failAnother(stack, ids[0]);
  await save('second', { daily_limit: sentBefore + leftToday });
}

/** The sandbox refuses the first attempt of a text with a code, and accepts the second. */
function messagesOf(account: string, n: number) {
  const message = (m: number, text: string) => ({
    account_id: account,
    channel: 'whatsapp',
    recipient: `+35191${n}${String(m).padStart(6, '0')}`,
    body: `Message ${m} of account ${n}${text}`,
  });
  return Array.from({ length: each }, (_, m) => [
    ...(m % inARow === 0 ? [message(m, '')] : []),
    message(m, ' [[131051]]'),
  ]).flat();
}

/** Lets a message end as failed by a person's decision, because nobody knows whether it was sent. */
async function failAnother(stack: OwnStack, account: string): Promise<void> {
  const message = { account_id: account, channel: 'whatsapp', recipient: '+351920000000' };
  const { rows } = await stack.api('/api/dms', [{ ...message, body: 'Perhaps sent [[drop-after]]' }]);
  const path = `/api/queues/dm_queue/rows/${rows[0].id}`;
  let attempt = 0;
  const isUnknown = async () => {
    await stack.tick();
    const { state, row } = await stack.api(path);
    attempt = row.attempts;
    return state === 'unknown';
  };
  check('another is unknown, and marked as failed', await until(isUnknown));
  await stack.api(`${path}/resolve`, { decision: 'failed', attempt });
}

async function dms(stack: OwnStack, status: string): Promise<number> {
  return (await stack.api(`/api/queues/dm_queue/rows?status=${status}&count=true&limit=1`)).count.count;
}

async function checkSecondClick(stack: OwnStack, page: Page, request: SentAct): Promise<void> {
  const response = await repeat(page, request);
  const { actions } = await stack.api('/api/actions');
  checkSame(
    'a second click leads to the same action, and changes nothing',
    [response.headers()['x-action-redirect']?.split(';')[0], actions.length],
    ['/actions/1', 1],
  );
  checkSame('and sends nothing', deliveries(stack).retried, sends);
}
