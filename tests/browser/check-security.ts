import { readFileSync } from 'node:fs';
import { request as ask } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { check } from './check.ts';
import { address, port } from './demo-figures.ts';

/** An app with a password, to somebody who gets nothing wrong but the password, and to somebody who means it ill. */
export async function checkSecurity(browser: Browser, password: string): Promise<void> {
  await checkPaths();
  await checkPolicy(browser, password);
  const door = await startHttps();
  try {
    await checkHttps(browser, password, `https://127.0.0.1:${(door.address() as AddressInfo).port}`);
  } finally {
    door.close();
    door.closeAllConnections();
  }
}

async function checkPaths(): Promise<void> {
  const paths = [
    '/%ff',
    '/login%e0',
    '/api/%ff',
    '/api/dms/%ff/why',
    '/api/queues/%ff/rows',
    '/_next/static/%ff',
  ];
  const statuses = await Promise.all(paths.map(async (path) => (await fetch(`${address}${path}`)).status));
  check(
    'a path that cannot be decoded is answered with 400',
    statuses.every((status) => status === 400),
    statuses,
  );
}

/** What the page reports to have refused, by directive. */
async function watchViolations(page: Page): Promise<string[]> {
  const violations: string[] = [];
  await page.exposeFunction('tellViolation', (told: string) => violations.push(told));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      (window as unknown as { tellViolation(told: string): void }).tellViolation(
        `${event.effectiveDirective} ${event.blockedURI} on ${location.pathname}`,
      );
    });
  });
  return violations;
}

async function checkPolicy(browser: Browser, password: string): Promise<void> {
  const page = await browser.newPage();
  const violations = await watchViolations(page);
  await page.goto(`${address}/nowhere`, { waitUntil: 'load' });
  await page.getByRole('link', { name: 'Go to the dashboard' }).click();
  await page.getByLabel('Password').fill('no password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Wrong password. Try again.').waitFor();
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('section[aria-labelledby="sequences"]').waitFor();
  // Long enough for what the page asks for by itself.
  await page.waitForTimeout(8_000);
  check('no page violates its Content-Security-Policy', violations.length === 0, violations);

  const ran = await page.evaluate(() => {
    const script = document.createElement('div');
    script.innerHTML = '<img src="x" onerror="window.wasRun = true">';
    document.body.append(script);
    const inline = document.createElement('script');
    inline.textContent = 'window.wasRun = true';
    document.body.insertAdjacentHTML('beforeend', inline.outerHTML);
    return new Promise((resolve) => setTimeout(() => resolve('wasRun' in window), 1_000));
  });
  check('a script that somebody slips in does not run, and is reported', !ran && violations.length > 0, [
    ran,
    violations,
  ]);
  await page.close();
}

/** TLS before the app, as every platform has it. */
async function startHttps(): Promise<Server> {
  const certificates = new URL('../fixtures/certificates/', import.meta.url);
  const files = {
    key: readFileSync(new URL('server.key', certificates)),
    cert: readFileSync(new URL('valid.crt', certificates)),
  };
  const server = createServer(files, (incoming, outgoing) => {
    const { host = '' } = incoming.headers;
    const headers = { ...incoming.headers, 'x-forwarded-proto': 'https', 'x-forwarded-host': host };
    const { method, url: path } = incoming;
    const asking = ask({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    asking.on('error', () => outgoing.destroy());
    incoming.pipe(asking);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function checkHttps(browser: Browser, password: string, origin: string): Promise<void> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const answer = await page.goto(origin, { waitUntil: 'load' });
  check(
    'browsers are told to come by https from then on',
    answer?.headers()['strict-transport-security'] === 'max-age=31536000',
    answer?.headers(),
  );
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('section[aria-labelledby="sequences"]').waitFor();
  const kept = (await context.cookies()).map(({ name, secure, httpOnly, path }) => ({
    name,
    secure,
    httpOnly,
    path,
  }));
  const wanted = { name: '__Host-punctual_session', secure: true, httpOnly: true, path: '/' };
  check(
    'over https the session is kept in a cookie that no other host can set',
    JSON.stringify(kept) === JSON.stringify([wanted]),
    kept,
  );
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Password').waitFor();
  check('and signing out takes it away', (await context.cookies()).length === 0, await context.cookies());
  await context.close();
}
