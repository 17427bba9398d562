import type { Page } from 'playwright-core';
import { check, checkSame, checkText } from './check.ts';
import { address, fetchApi } from './demo-figures.ts';
import { until } from './demo-page.ts';

/** Checks what an operator does on the pages of errors, settings and accounts, and that the search box leads everywhere. `page` is signed in. */
export async function checkChanges(apiKey: string, page: Page): Promise<void> {
  await checkErrors(apiKey, page);
  await checkSettings(apiKey, page);
  await checkAccounts(apiKey, page);
  await checkSearch(apiKey, page);
}

const open = (page: Page, path: string) => page.goto(`${address}${path}`, { waitUntil: 'load' });

async function press(page: Page, button: string, message: RegExp): Promise<void> {
  await page.getByRole('button', { name: button, exact: true }).click();
  await page.getByRole('status').getByText(message).waitFor({ timeout: 10_000 });
}

async function checkErrors(apiKey: string, page: Page): Promise<void> {
  const path = '/api/queues/jobs/errors';
  const { errors } = await fetchApi(apiKey, path);
  await open(page, '/queues/jobs/errors');
  await page
    .getByRole('link', { name: errors[0].example ?? errors[0].text })
    .first()
    .click();
  await page.getByLabel('Note').fill('ticket 7');
  await press(page, 'Mark as known', /marked as known/);
  const marked = await fetchApi(apiKey, `${path}/${errors[0].id}`);
  checkSame('an error is marked as known with a note', marked.known_note, 'ticket 7');
  await page.getByText('marked it as known').waitFor({ timeout: 10_000 });
  await press(page, 'Mark as new again', /new again/);
  check('and is new again', (await fetchApi(apiKey, `${path}/${errors[0].id}`)).known_at === null);
}

async function checkSettings(apiKey: string, page: Page): Promise<void> {
  const read = () => fetchApi(apiKey, '/api/queues/jobs');
  await open(page, '/queues/jobs/settings');
  await page.getByText('Pause…').click();
  await page.getByLabel('Reason').fill('moving');
  await press(page, 'Pause jobs', /jobs is paused/);
  checkSame('a queue is paused with its reason', (await read()).paused_reason, 'moving');
  await page.getByRole('heading', { name: 'It is paused' }).waitFor({ timeout: 10_000 });
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
  await page.getByText('concurrency 5 → 7').waitFor({ timeout: 10_000 });
  await page.getByLabel('Longest wait, seconds').fill('1');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  const alert = page.getByRole('alert').filter({ hasText: /backoff/i });
  await alert.waitFor({ timeout: 10_000 });
  checkSame('a value that does not fit changes nothing', (await read()).settings.backoff_cap_seconds, 3_600);
}

async function checkAccounts(apiKey: string, page: Page): Promise<void> {
  const { accounts } = await fetchApi(apiKey, '/api/accounts?limit=1');
  const [{ id, name }] = accounts;
  const read = () => fetchApi(apiKey, `/api/accounts/${id}`);
  await open(page, '/accounts');
  await page.locator('main').getByRole('link', { name, exact: true }).click();
  await page.getByText('Pause…').click();
  await page.getByLabel('Reason').fill('asked to');
  await page.getByLabel('Until').fill('2040-01-01T00:00');
  await press(page, 'Pause the account', /is paused/);
  const paused = await read();
  checkText('an account is paused until a time', `${paused.paused_reason} ${paused.paused_until}`, [
    /^asked to (2039-12-31|2040-01-01)/,
  ]);
  await page
    .locator('section[aria-labelledby="changes"]')
    .getByText('paused')
    .first()
    .waitFor({ timeout: 10_000 });
  await press(page, 'Resume', /is resumed/);
  check('and resumed', (await read()).paused_until === null);
}

async function checkSearch(apiKey: string, page: Page): Promise<void> {
  const { rows } = await fetchApi(apiKey, '/api/queues/dm_queue/rows?status=sent&limit=1');
  const to: string = rows[0].row.recipient ?? rows[0].row.chat_id;
  await open(page, '/schedules');
  const box = page.getByRole('combobox', { name: /Search/ });
  // The page listens once its script has run.
  const hasFocus = () => box.evaluate((element) => element === document.activeElement);
  const press = async () => {
    await page.keyboard.press('Control+k');
    return hasFocus();
  };
  check('Ctrl-K focuses the search', await until(press, Date.now() + 10_000, 250));
  await page.keyboard.type(to);
  await page.keyboard.press('Enter');
  const { rows: found } = await fetchApi(apiKey, `/api/find?q=${encodeURIComponent(to)}`);
  const path = found.length === 1 ? `/queues/dm_queue/rows/${rows[0].id}` : '/find';
  const leads = () => new URL(page.url()).pathname === path;
  check(
    'an address leads to its row, or to its rows',
    await until(leads, Date.now() + 10_000, 250),
    page.url(),
  );

  await open(page, '/schedules');
  await until(press, Date.now() + 10_000, 250);
  await page.keyboard.type('jobs set');
  await page.getByRole('option', { name: /jobs settings/ }).waitFor();
  await page.keyboard.press('ArrowDown');
  checkSame('the arrow marks the first offer', await box.getAttribute('aria-activedescendant'), 'place-0');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/queues/jobs/settings');
  check('Ctrl-K, a name and Enter lead to a page', true);
  await page.keyboard.press('Control+k');
  await page.keyboard.type('tanaka');
  await page.getByRole('option', { name: /Yuki Tanaka/ }).waitFor({ timeout: 10_000 });
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/accounts/*');
  check('and to an account', true);
}
