import type { Page } from 'playwright-core';
import { check, checkNone, checkSame, checkText } from '../check.ts';
import { until } from '../page.ts';
import type { OwnStack } from './own-stack.ts';

/** Does each act once on rows, by the dashboard alone. */
export async function checkActs(stack: OwnStack): Promise<void> {
  const ids = await addRows(stack);
  const page = await stack.signIn('operator', 'Ola');
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  const press = (role: 'link' | 'button', name: string | RegExp) =>
    page.getByRole(role, { name }).first().click();
  const open = (id: string | undefined) => openRow(stack, page, id);
  const row = (id: string | undefined) => stack.api(`/api/queues/dm_queue/rows/${id}`);

  await stack.open(page, '/queues/dm_queue/rows?status=pending&to=%2B351930000001');
  await page.getByRole('checkbox', { name: `Select row ${ids.later}` }).check();
  await page.getByText('1 selected').waitFor();
  await press('button', 'Reschedule…');
  await page.getByLabel(/Due at/).fill('2031-05-06T07:08');
  await press('button', 'Reschedule 1 row');
  await page.waitForURL(new RegExp(`/rows/${ids.later}$`));
  check('Reschedule moves a selected row', (await row(ids.later)).row.send_at.startsWith('2031-05-06'));

  await press('link', 'Change priority…');
  await page.getByLabel('Priority').selectOption('0');
  await press('button', /Change priority of 1 row/);
  await page.waitForURL(new RegExp(`/rows/${ids.later}$`));
  await page.getByText(/gave it priority 0/).waitFor();
  check('Change priority changes it', (await row(ids.later)).row.priority === 0);

  await press('link', 'Cancel…');
  await press('button', 'Cancel 1 row');
  await page.getByText(/^Cancelled at/).waitFor();
  check('Cancel cancels a pending row', (await row(ids.later)).state === 'cancelled');

  await stack.open(page, `/queues/jobs/rows/${ids.waits}`);
  await press('link', 'Retry now…');
  await press('button', 'Retry now 1 row');
  await page.waitForURL(new RegExp(`/rows/${ids.waits}$`));
  await stack.tick('jobs');
  const { state } = await stack.api(`/api/queues/jobs/rows/${ids.waits}`);
  checkSame('Retry now ends the wait for a retry: the next tick does it', state, 'done');

  await open(ids.unknown);
  checkText('an unknown row says what the evidence shows', await page.locator('main').innerText(), [
    /Nothing proves or disproves that/,
  ]);
  await press('button', 'Mark as failed');
  await page.getByRole('status').getByText(`Row ${ids.unknown} is failed now.`).waitFor();
  await open(ids.unknown);
  await press('link', 'Retry…');
  await page.getByText('It would change nothing.').waitFor();
  checkText('a retry leaves a row that may have been sent', await page.locator('main').innerText(), [
    '1 row may have been sent: left as it is',
  ]);
  check('without a button', (await page.getByRole('button', { name: /^Retry/ }).count()) === 0);
  await press('link', /they may be sent twice/);
  await press('button', 'Retry 1 row');
  await page.waitForURL(new RegExp(`/rows/${ids.unknown}$`));
  check('unless a person says that it may be sent twice', (await row(ids.unknown)).state === 'pending');

  await checkDecisions(stack, page);
  await open(ids.sent);
  await press('link', 'Delete…');
  await press('button', 'Delete 1 row');
  await page.waitForURL(/\/queues\/dm_queue\/rows$/);
  await open(ids.sent);
  checkText('Delete deletes a settled row', await page.locator('main').innerText(), [/No such row/]);

  await checkStop(stack, page);
  checkNone('no act has a page error', errors);
}

/** Decides on two more unknown rows: one was sent, and one is sent again, which asks first. */
async function checkDecisions(stack: OwnStack, page: Page): Promise<void> {
  const [sent, again] = await addUnknown(stack, ['+351930000005', '+351930000006']);
  await openRow(stack, page, sent);
  await page.getByRole('button', { name: 'Mark as sent' }).first().click();
  await page.getByRole('status').getByText(`Row ${sent} is sent now.`).waitFor();
  await openRow(stack, page, again);
  await page.getByRole('button', { name: 'Retry', exact: true }).first().click();
  await page.getByRole('button', { name: 'Yes, retry it' }).click();
  await page.getByRole('status').getByText(`Row ${again} is pending now.`).waitFor();
  const states = await Promise.all([sent, again].map((id) => stack.api(`/api/queues/dm_queue/rows/${id}`)));
  checkSame(
    'an unknown row is marked as sent, or retried once a person has confirmed it',
    states.map(({ state }) => state),
    ['done', 'pending'],
  );
  // The viewer's page shows a row that waits for a decision.
  await addUnknown(stack, ['+351930000007']);
}

/** Adds messages whose response is lost. Returns their rows once they wait for a person. */
async function addUnknown(stack: OwnStack, recipients: string[]): Promise<string[]> {
  const account_id = await firstAccount(stack);
  const { rows } = await stack.api(
    '/api/dms',
    recipients.map((recipient) => ({ account_id, channel: 'whatsapp', recipient, body: '[[drop-after]]' })),
  );
  const ids: string[] = rows.map(({ id }: { id: string | number }) => `${id}`);
  const areUnknown = async () => {
    await stack.tick();
    const read = await Promise.all(ids.map((id) => stack.api(`/api/queues/dm_queue/rows/${id}`)));
    return read.every(({ state }) => state === 'unknown');
  };
  check(`${ids.length} more unknown`, await until(areUnknown), rows);
  return ids;
}

async function openRow(stack: OwnStack, page: Page, id: string | undefined): Promise<void> {
  await stack.open(page, `/queues/dm_queue/rows/${id}`);
  await page.locator('#now').or(page.getByText('No such row')).first().waitFor();
}

async function checkStop(stack: OwnStack, page: Page): Promise<void> {
  await stack.open(page, '/queues/dm_queue/rows?text=no+such+text');
  await page.getByText('No row matches.').waitFor();
  const failed = `/queues/dm_queue/rows?status=failed&account=${await fail(stack, 7)}`;
  await stack.open(page, failed);
  for (const box of await page.getByRole('checkbox', { name: /Select row/ }).all()) await box.check();
  await page.getByRole('button', { name: 'Retry…' }).click();
  await page.getByRole('button', { name: /Retry 7 rows/ }).click();
  await page.getByRole('button', { name: 'Stop: leave 2 rows as they are' }).click();
  await page.getByText('Ola stopped it.').waitFor();
  const { rows } = await stack.api(`/api${failed}`);
  check('Stop leaves the rows that were not written', rows.length === 2, rows.length);
}

/** Lets `count` messages of a new account fail for good. Returns the account. */
async function fail(stack: OwnStack, count: number): Promise<string> {
  const third = { provider: 'whatsapp_cloud', provider_account_id: 'third', name: 'The third' };
  const { id } = (await stack.api('/api/accounts', third)).account;
  const messages = Array.from({ length: count }, (_, n) => ({
    account_id: id,
    channel: 'whatsapp',
    recipient: `+35192000000${n}`,
    body: `fails ${n} [[131051]]`,
  }));
  await stack.api('/api/dms', messages);
  const areFailed = async () => {
    // Five refusals in a row pause an account.
    await stack.api(`/api/accounts/${id}/resume`, {});
    await stack.tick();
    const { rows } = await stack.api(`/api/queues/dm_queue/rows?status=failed&account=${id}`);
    return rows.length === count;
  };
  check(`${count} messages fail`, await until(areFailed));
  return id;
}

async function firstAccount(stack: OwnStack): Promise<string> {
  const { accounts } = await stack.api('/api/accounts');
  return accounts.find((one: { provider_account_id: string }) => one.provider_account_id === 'first').id;
}

/** Adds a row for each act: one for later, an unknown and a sent one, and a job that waits an hour for its retry. */
async function addRows(
  stack: OwnStack,
): Promise<Record<'later' | 'waits' | 'unknown' | 'sent', string | undefined>> {
  const account_id = await firstAccount(stack);
  const message = { account_id, channel: 'whatsapp' };
  const later = new Date(Date.now() + 30 * 86_400_000).toISOString();
  const { rows } = await stack.api('/api/dms', [
    { ...message, recipient: '+351930000001', body: 'later', send_at: later },
    { ...message, recipient: '+351930000003', body: 'unknown [[drop-after]]' },
    { ...message, recipient: '+351930000004', body: 'sent' },
  ]);
  const [scheduled, unknown, sent] = rows.map(({ id }: { id: string | number }) => `${id}`);
  const stateOf = async (id: string) => (await stack.api(`/api/queues/dm_queue/rows/${id}`)).state;
  const areTried = async () => {
    await stack.tick();
    return (await stateOf(unknown)) === 'unknown' && (await stateOf(sent)) === 'done';
  };
  check('one message is unknown, and one is sent', await until(areTried), rows);
  return { later: scheduled, waits: await addWaiting(stack), unknown, sent };
}

async function addWaiting(stack: OwnStack): Promise<string> {
  const { rows } = await stack.api('/api/jobs', [{ name: 'fail-first', payload: { times: 1 } }]);
  await stack.tick('jobs');
  await stack.sql(
    `update punctual.jobs set next_attempt_at = now() + interval '1 hour' where id = ${rows[0].id}`,
  );
  return `${rows[0].id}`;
}
