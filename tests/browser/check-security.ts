import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { check } from './check.ts';
import { address, port } from './demo-figures.ts';

/** Checks an app with a password: undecodable paths, a wrong password, injected scripts, and https. */
export async function checkSecurity(browser: Browser, password: string): Promise<void> {
  await checkPaths();
  await checkPolicy(browser, password);
  const proxy = await startHttps();
  try {
    await checkHttps(browser, password, `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  } finally {
    proxy.close();
    proxy.closeAllConnections();
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
    'a path that cannot be decoded gets a 400',
    statuses.every((status) => status === 400),
    statuses,
  );
}

/** Collects the violations that the page reports, by directive. */
async function watchViolations(page: Page): Promise<string[]> {
  const violations: string[] = [];
  await page.exposeFunction('reportViolation', (violation: string) => violations.push(violation));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      (window as unknown as { reportViolation(violation: string): void }).reportViolation(
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
  // Long enough for the page's own requests.
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
  check('an injected script does not run and is reported', !ran && violations.length > 0, [ran, violations]);
  await page.close();
}

/** Starts a TLS proxy in front of the app, as every platform has one. */
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
    const forwarded = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

async function checkHttps(browser: Browser, password: string, origin: string): Promise<void> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const response = await page.goto(origin, { waitUntil: 'load' });
  check(
    'a response over https tells browsers to stay with https',
    response?.headers()['strict-transport-security'] === 'max-age=31536000',
    response?.headers(),
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
  const expected = { name: '__Host-punctual_session', secure: true, httpOnly: true, path: '/' };
  check(
    'over https the session is in a cookie that no other host can set',
    JSON.stringify(kept) === JSON.stringify([expected]),
    kept,
  );
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Password').waitFor();
  check(
    'signing out deletes the session cookie',
    (await context.cookies()).length === 0,
    await context.cookies(),
  );
  await context.close();
}
