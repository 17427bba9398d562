import { type RequestListener, request } from 'node:http';
import type { Browser, Page } from 'playwright-core';
import { sites } from '../support/sites.ts';
import { check, checkNone, checkSame } from './check.ts';
import { address, port } from './demo-figures.ts';

/** Checks an app with a password: undecodable paths, a wrong password, injected scripts, and https. */
export async function checkSecurity(browser: Browser, password: string): Promise<void> {
  await checkPaths();
  await checkPolicy(browser, password);
  const { serve, closeAll } = sites();
  const { host } = await serve(forward, 'valid');
  await checkHttps(browser, password, `https://${host}`).finally(closeAll);
}

async function checkPaths(): Promise<void> {
  const pages = ['/%ff', '/login%e0', '/_next/static/%ff'];
  const paths = [...pages, '/api/%ff', '/api/dms/%ff/why', '/api/queues/%ff/rows'];
  const statuses = await Promise.all(paths.map(async (path) => (await fetch(`${address}${path}`)).status));
  checkSame(
    'a path that cannot be decoded gets a 400',
    statuses,
    paths.map(() => 400),
  );
}

/** Signs in on the page's form. */
export async function signIn(page: Page, password: string): Promise<void> {
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Waits for the dashboard that a person sees who has signed in. */
export const untilSignedIn = (page: Page) => page.locator('#queues').waitFor();

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
  await signIn(page, 'no password');
  await page.getByText('Wrong password. Try again.').waitFor();
  await signIn(page, password);
  await untilSignedIn(page);
  // Long enough for the page's own requests.
  await page.waitForTimeout(12_000);
  checkNone('no page violates its Content-Security-Policy', violations);

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

/** Forwards a request to the app as a TLS proxy does, which every platform has. */
const forward: RequestListener = (incoming, outgoing) => {
  const { host = '' } = incoming.headers;
  const headers = { ...incoming.headers, 'x-forwarded-proto': 'https', 'x-forwarded-host': host };
  const { method, url: path } = incoming;
  const forwarded = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
    outgoing.writeHead(response.statusCode ?? 502, response.headers);
    response.pipe(outgoing);
  });
  forwarded.on('error', () => outgoing.destroy());
  incoming.pipe(forwarded);
};

async function checkHttps(browser: Browser, password: string, origin: string): Promise<void> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const response = await page.goto(origin, { waitUntil: 'load' });
  const transport = response?.headers()['strict-transport-security'];
  checkSame('a response over https tells browsers to stay with https', transport, 'max-age=31536000');
  await signIn(page, password);
  await untilSignedIn(page);
  const cookies = await context.cookies();
  const kept = cookies.map(({ name, secure, httpOnly, path }) => ({ name, secure, httpOnly, path }));
  const expected = { name: '__Host-punctual_session', secure: true, httpOnly: true, path: '/' };
  checkSame('over https the session is in a cookie that no other host can set', kept, [expected]);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Password').waitFor();
  checkNone('signing out deletes the session cookie', await context.cookies());
  await context.close();
}
