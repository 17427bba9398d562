import { type RequestListener, request } from 'node:http';
import type { Browser, Page } from 'playwright-core';
import { sites } from '../../support/sites.ts';
import { check, checkNone, checkSame } from '../check.ts';
import { newPage, until, untilReady } from '../page.ts';
import type { OwnStack } from './own-stack.ts';

/** Checks an app with a password: undecodable paths, a wrong password, injected scripts, and https. */
export async function checkSecurity(stack: OwnStack, browser: Browser): Promise<void> {
  await checkPaths(stack);
  await checkPolicy(stack, browser);
  const { serve, closeAll } = sites();
  const { host } = await serve(forwardTo(stack.port), 'valid');
  await checkHttps(browser, stack.password, `https://${host}`).finally(closeAll);
}

async function checkPaths({ address }: OwnStack): Promise<void> {
  const pages = ['/%ff', '/login%e0', '/_next/static/%ff'];
  const paths = [...pages, '/api/%ff', '/api/dms/%ff/why', '/api/queues/%ff/rows'];
  const statuses = await Promise.all(paths.map(async (path) => (await fetch(`${address}${path}`)).status));
  checkSame(
    'a path that cannot be decoded gets a 400',
    statuses,
    paths.map(() => 400),
  );
}

async function signIn(page: Page, password: string): Promise<void> {
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Waits for the dashboard that a person sees who has signed in. */
const untilSignedIn = (page: Page) => page.locator('#queues').waitFor();

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

async function checkPolicy({ address, password }: OwnStack, browser: Browser): Promise<void> {
  const { page } = await newPage(browser);
  const violations = await watchViolations(page);
  await page.clock.install();
  await page.goto(address, { waitUntil: 'load' });
  check('an app with a password asks for it', page.url().endsWith('/login'), page.url());
  await page.goto(`${address}/nowhere`, { waitUntil: 'load' });
  await page.getByRole('link', { name: 'Go to the dashboard' }).click();
  await signIn(page, 'no password');
  await page.getByText('Wrong password. Try again.').waitFor();
  await signIn(page, password);
  await untilSignedIn(page);
  await untilReady(page);
  const pulse = page.waitForResponse(/\/api\/pulse/);
  await page.clock.fastForward(12_000);
  await pulse;
  checkNone('no page violates its Content-Security-Policy', violations);

  await page.evaluate(() => {
    const script = document.createElement('div');
    script.innerHTML = '<img src="x" onerror="window.wasRun = true">';
    document.body.append(script);
    const inline = document.createElement('script');
    inline.textContent = 'window.wasRun = true';
    document.body.insertAdjacentHTML('beforeend', inline.outerHTML);
  });
  check('an injected script is reported', await until(() => violations.length > 0), violations);
  check('and does not run', !(await page.evaluate(() => 'wasRun' in window)));
}

/** Forwards requests to the app as a TLS proxy does, which every platform has. */
const forwardTo =
  (port: number): RequestListener =>
  (incoming, outgoing) => {
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
  const { page } = await newPage(browser, { ignoreHTTPSErrors: true });
  const context = page.context();
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
}
