import type { Page } from 'playwright-core';
import { check, checkNone, checkSame, checkText } from '../check.ts';
import { until } from '../page.ts';
import type { OwnStack } from './own-stack.ts';

/** Checks what an operator does on the pages of errors, settings, accounts and people, and that the search box leads everywhere. */
export async function checkChanges(stack: OwnStack): Promise<void> {
  const page = await stack.signIn('operator', '');
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await failJob(stack);
  await checkErrors(stack, page);
  await checkSettings(stack, page);
  await checkPartition(stack, page);
  await checkAccounts(stack, page);
  await checkTryNow(stack, page);
  await checkSearch(stack, page);
  checkNone('no change has a page error', errors);
}

/** Lets a job fail for good. */
async function failJob(stack: OwnStack): Promise<void> {
  await stack.api('/api/jobs', [{ name: 'fail-first', payload: { times: 100 }, max_attempts: 1 }]);
  const hasFailed = async () => {
    await stack.tick('jobs');
    return (await stack.api('/api/queues/jobs/errors')).errors.length > 0;
  };
  check('a job fails', await until(hasFailed));
}

async function press(page: Page, button: string, message: RegExp): Promise<void> {
  await page.getByRole('button', { name: button, exact: true }).click();
  await page.getByRole('status').getByText(message).waitFor();
}

async function checkErrors(stack: OwnStack, page: Page): Promise<void> {
  const path = '/api/queues/jobs/errors';
  const { errors } = await stack.api(path);
  await stack.open(page, '/queues/jobs/errors');
  await page
    .getByRole('link', { name: errors[0].example ?? errors[0].text })
    .first()
    .click();
  await page.getByLabel('Note').fill('ticket 7');
  await press(page, 'Mark as known', /marked as known/);
  const marked = await stack.api(`${path}/${errors[0].id}`);
  checkSame('an error is marked as known with a note', marked.known_note, 'ticket 7');
  await page.getByText('marked it as known').waitFor();
  await press(page, 'Mark as new again', /new again/);
  check('and is new again', (await stack.api(`${path}/${errors[0].id}`)).known_at === null);
}

async function checkSettings(stack: OwnStack, page: Page): Promise<void> {
  const read = () => stack.api('/api/queues/jobs');
  await stack.open(page, '/queues/jobs/settings');
  await page.getByText('Pause…').click();
  await page.getByLabel('Reason').fill('moving');
  await press(page, 'Pause jobs', /jobs is paused/);
  checkSame('a queue is paused with its reason', (await read()).paused_reason, 'moving');
  await page.getByRole('heading', { name: 'It is paused' }).waitFor();
  await press(page, 'Resume', /jobs is resumed/);
  check('and resumed', (await read()).paused_at === null);

  await press(page, 'Run a tick now', /^(The tick|Another tick|No partition)/);
  check('a tick runs at once, and the audit has it', (await read()).acts[0].act === 'run_queue');

  await page.getByLabel('Rows at once', { exact: true }).fill('7');
  await page.getByLabel('Note').fill('backlog');
  await press(page, 'Save', /One setting is changed/);
  const { settings, acts } = await read();
  checkSame('a setting is changed', settings.concurrency, 7);
  const [act] = acts;
  checkSame(
    'the audit has its name, its note, before and after',
    [act.by, act.note, act.details],
    ['a dashboard user', 'backlog', { after: { concurrency: 7 }, before: { concurrency: 5 } }],
  );
  await page.getByText('concurrency 5 → 7').waitFor();
  await page.getByLabel('Longest wait, seconds').fill('1');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  const alert = page.getByRole('alert').filter({ hasText: /backoff/i });
  await alert.waitFor();
  checkSame('a value that does not fit changes nothing', (await read()).settings.backoff_cap_seconds, 3_600);
}

async function checkAccounts(stack: OwnStack, page: Page): Promise<void> {
  const { accounts } = await stack.api('/api/accounts?limit=1');
  const [{ id, name }] = accounts;
  const read = () => stack.api(`/api/accounts/${id}`);
  await stack.open(page, '/accounts');
  await page.locator('main').getByRole('link', { name, exact: true }).click();
  await page.getByText('Pause…').click();
  await page.getByLabel('Reason').fill('asked to');
  await page.getByLabel('Until').fill('2040-01-01T00:00');
  await press(page, 'Pause the account', /is paused/);
  const paused = await read();
  checkText('an account is paused until a time', `${paused.paused_reason} ${paused.paused_until}`, [
    /^asked to (2039-12-31|2040-01-01)/,
  ]);
  await page.locator('section[aria-labelledby="changes"]').getByText('paused').first().waitFor();
  await press(page, 'Resume', /is resumed/);
  check('and resumed', (await read()).paused_until === null);

  await page.getByText('Change limits…').click();
  await page.getByLabel('In any 60 minutes').fill('77');
  await press(page, 'Save limits', /The limits of .* are changed/);
  checkSame('the limits of an account are changed', (await read()).hourly_limit, 77);
}

/** Checks the settings of one partition, which has its own pause. */
async function checkPartition(stack: OwnStack, page: Page): Promise<void> {
  const read = async () => {
    const { partitions } = await stack.api('/api/queues/jobs');
    return partitions.find(({ name }: { name: string }) => name === 'default');
  };
  await stack.open(page, '/queues/jobs/settings?partition=default');
  await page.getByText('Pause…').click();
  await page.getByLabel('Reason').fill('one partition');
  await press(page, 'Pause the partition default', /default is paused/);
  check('a partition is paused', (await read()).paused_at !== null, await read());
  await page.getByRole('heading', { name: 'It is paused' }).waitFor();
  await press(page, 'Resume', /default is resumed/);
  check('and resumed', (await read()).paused_at === null, await read());
}

/** Lets the provider refuse an account, and ends the refusal from the queue's page. */
async function checkTryNow(stack: OwnStack, page: Page): Promise<void> {
  const refused = { provider: 'whatsapp_cloud', provider_account_id: 'refused', name: 'The refused' };
  const { account } = await stack.api('/api/accounts', refused);
  const message = { account_id: account.id, channel: 'whatsapp', recipient: '+351950000001', body: 'Hello' };
  await stack.setFaults({ restricted: ['refused'] });
  await stack.api('/api/dms', [message]);
  const read = async () => (await stack.api('/api/stats')).queues.find(isDms).refused;
  const isRefused = async () => {
    await stack.tick();
    return (await read()).length > 0;
  };
  check('an account is refused', await until(isRefused), await read());
  await stack.setFaults({ restricted: [] });
  await stack.open(page, '/queues/dm_queue');
  await press(page, 'Try now', /The next tick tries The refused again/);
  const isOver = async () => {
    await stack.tick();
    return (await read()).length === 0;
  };
  check('Try now ends the refusal', await until(isOver), await read());
}

const isDms = ({ name }: { name: string }) => name === 'dm_queue';

async function checkSearch(stack: OwnStack, page: Page): Promise<void> {
  const { rows } = await stack.api('/api/queues/dm_queue/rows?status=sent&limit=1');
  const to: string = rows[0].row.recipient ?? rows[0].row.chat_id;
  await stack.open(page, '/schedules');
  const box = page.getByRole('combobox', { name: /Search/ });
  // The page listens once its script has run.
  const hasFocus = () => box.evaluate((element) => element === document.activeElement);
  const press = async () => {
    await page.keyboard.press('Control+k');
    return hasFocus();
  };
  check('Ctrl-K focuses the search', await until(press));
  await page.keyboard.type(to);
  await page.keyboard.press('Enter');
  const { rows: found } = await stack.api(`/api/find?q=${encodeURIComponent(to)}`);
  const path = found.length === 1 ? `/queues/dm_queue/rows/${rows[0].id}` : '/find';
  const leads = () => new URL(page.url()).pathname === path;
  check('an address leads to its row, or to its rows', await until(leads), page.url());

  await stack.open(page, '/schedules');
  await until(press);
  await page.keyboard.type('jobs set');
  await page.getByRole('option', { name: /jobs settings/ }).waitFor();
  await page.keyboard.press('ArrowDown');
  checkSame('the arrow marks the first offer', await box.getAttribute('aria-activedescendant'), 'place-0');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/queues/jobs/settings');
  check('Ctrl-K, a name and Enter lead to a page', true);
  await page.keyboard.press('Control+k');
  await page.keyboard.type('the sec');
  await page.getByRole('option', { name: /The second/ }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/accounts/*');
  check('and to an account', true);
}
