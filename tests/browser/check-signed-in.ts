import { spawn } from 'node:child_process';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { Enrolment } from '../../lib/store/conversations.ts';
import { childEnv } from '../../scripts/demo/processes/child-env.ts';
import { check, checkNone, checkText } from './check.ts';
import { checkChanges } from './check-changes.ts';
import { checkSecurity, signIn, untilSignedIn } from './check-security.ts';
import { address, fetchApi, port } from './demo-figures.ts';
import { openDashboard, until } from './demo-page.ts';

const next = path.resolve('node_modules/next/dist/bin/next');

/** Starts an app with a password over the demo's data, signs in, and does what an operator does on the pages. */
export async function checkSignedIn(browser: Browser): Promise<void> {
  const password = 'a password of this test';
  const apiKey = 'a-key-of-this-test-alone';
  const env = childEnv(process.env, {
    PUNCTUAL_DEMO: '1',
    STORE: 'embedded',
    PUNCTUAL_DATA: path.resolve('.data/demo'),
    DASHBOARD_PASSWORD: password,
    API_KEY: apiKey,
  }) as NodeJS.ProcessEnv;
  const app = spawn(process.execPath, [next, 'start', '-H', '127.0.0.1', '-p', `${port}`], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    await untilAppResponds();
    const { page, errors } = await openDashboard(browser);
    check('an app with a password asks for it', page.url().endsWith('/login'), page.url());
    await signIn(page, password);
    await untilSignedIn(page);
    errors.length = 0;

    const { enrolments }: { enrolments: Enrolment[] } = await fetchApi(
      apiKey,
      '/api/enrolments?phase=in_progress&limit=1',
    );
    const [{ id, sequence_id } = { id: '', sequence_id: '' }] = enrolments;
    const read = (): Promise<Enrolment> => fetchApi(apiKey, `/api/enrolments/${id}`);
    await page.goto(`${address}/sequences/${sequence_id}/people/${id}`, { waitUntil: 'load' });
    const timeline = page.locator('ol[aria-label^="Timeline"]');
    await timeline.waitFor({ timeout: 10_000 });

    await press(page, 'Pause', 'It is paused now.');
    check('Pause on the dashboard pauses the enrolment', (await read()).paused_at !== null);
    await press(page, 'Resume', 'It is in progress now.');
    const { paused_at, next_step_at } = await read();
    check('Resume on the dashboard resumes it', paused_at === null && next_step_at !== null);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Go back' }).click();
    check('Stop asks for confirmation, and Go back cancels it', (await read()).phase === 'in_progress');
    await page.getByRole('button', { name: 'Stop' }).click();
    await press(page, /^Yes/, 'It is stopped now.');
    check('a confirmed Stop stops the enrolment', (await read()).phase === 'stopped', await read());
    await timeline.getByText('Stopped', { exact: true }).waitFor({ timeout: 10_000 });
    const actions = ['Paused', 'Resumed', 'Stopped'];
    checkText('the timeline shows all three actions', await timeline.innerText(), actions);
    await checkChanges(apiKey, page);
    checkNone('the dashboard has no errors after signing in', errors);
    await page.close();
    await checkSecurity(browser, password);
  } finally {
    const ended = new Promise((resolve) => app.once('exit', resolve));
    app.kill('SIGTERM');
    await ended;
  }
}

async function untilAppResponds(): Promise<void> {
  const responds = () =>
    fetch(`${address}/login`).then(
      ({ ok }) => ok,
      () => false,
    );
  if (!(await until(responds, Date.now() + 60_000, 250)))
    throw new Error('the app with a password did not start');
}

async function press(page: Page, button: string | RegExp, message: string): Promise<void> {
  await page.getByRole('button', { name: button, exact: true }).click();
  await page.getByRole('status').getByText(message).waitFor({ timeout: 10_000 });
}
