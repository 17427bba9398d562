import type { Page } from 'playwright-core';
import type { Enrolment } from '../../../lib/store/conversations.ts';
import { check } from '../check.ts';
import { checkShown } from '../page.ts';
import type { OwnStack } from './own-stack.ts';

/** Pauses, resumes and stops a person in a sequence. */
export async function checkPeople(stack: OwnStack): Promise<void> {
  const { id, sequence_id } = await enrol(stack);
  const read = (): Promise<Enrolment> => stack.api(`/api/enrolments/${id}`);
  const page = await stack.signIn('operator', 'Ola', `/sequences/${sequence_id}/people/${id}`);

  await press(page, 'Pause', 'It is paused now.');
  check('Pause pauses the enrolment', (await read()).paused_at !== null);
  await press(page, 'Resume', 'It is in progress now.');
  const { paused_at, next_step_at } = await read();
  check('Resume resumes it', paused_at === null && next_step_at !== null);
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('button', { name: 'Go back' }).click();
  check('Stop asks for confirmation, and Go back cancels it', (await read()).phase === 'in_progress');
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await press(page, /^Yes/, 'It is stopped now.');
  check('a confirmed Stop stops the enrolment', (await read()).phase === 'stopped', await read());
  const timeline = page.locator('ol[aria-label^="Timeline"]');
  await checkShown('the timeline shows all three actions', timeline, ['Paused', 'Resumed', 'Stopped']);
}

/** Enrols a person whose first message is due tomorrow. */
async function enrol(stack: OwnStack): Promise<Enrolment> {
  const { accounts } = await stack.api('/api/accounts?limit=1');
  const sequence = await stack.api('/api/sequences', {
    name: 'One message',
    channel: 'whatsapp',
    steps: [{ kind: 'message', delay_seconds: 0, body: 'Hello', on_reply: 'stop' }],
  });
  const person = {
    account_id: accounts[0].id,
    recipient: '+351940000001',
    start_at: new Date(Date.now() + 86_400_000).toISOString(),
  };
  await stack.api(`/api/sequences/${sequence.id}/enrolments`, person);
  return (await stack.api(`/api/enrolments?sequence=${sequence.id}&limit=1`)).enrolments[0];
}

async function press(page: Page, button: string | RegExp, message: string): Promise<void> {
  await page.getByRole('button', { name: button, exact: true }).click();
  await page.getByRole('status').getByText(message).waitFor();
}
