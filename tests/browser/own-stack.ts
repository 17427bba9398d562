import { spawn } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../sandbox/shapes/whatsapp-shape.ts';
import { childEnv } from '../../scripts/demo/processes/child-env.ts';
import { address, port, sandboxPort } from './demo-figures.ts';
import { until } from './demo-page.ts';

const next = path.resolve('node_modules/next/dist/bin/next');
const apiKey = 'a-key-of-this-test-alone';
const cronSecret = 'a-secret-of-this-test-alone';
const passwords = { operator: 'the password of operators', viewer: 'the password of viewers' };

/** An app with passwords, an empty database and a sandbox without faults. */
export interface OwnStack {
  sandbox: Sandbox;
  /** Posts to the API, or reads without a body. */
  // biome-ignore lint/suspicious/noExplicitAny: each call has a shape of its own.
  api(path: string, body?: object): Promise<any>;
  /** Runs SQL on the app's database. */
  sql(text: string): Promise<unknown>;
  /** Runs a tick of the direct messages. */
  tick(): Promise<void>;
  /** Opens a page in a browser of its own, signed in. */
  signIn(role: keyof typeof passwords, name: string, path?: string): Promise<Page>;
  end(): Promise<void>;
}

export async function startOwnStack(browser: Browser): Promise<OwnStack> {
  const sandbox = await startSandbox({ port: sandboxPort });
  const data = mkdtempSync(path.join(tmpdir(), 'punctual-browser-'));
  const env = childEnv(process.env, {
    PUNCTUAL_DEMO: '1',
    STORE: 'embedded',
    PUNCTUAL_DATA: data,
    DASHBOARD_PASSWORD: passwords.operator,
    DASHBOARD_VIEWER_PASSWORD: passwords.viewer,
    API_KEY: apiKey,
    CRON_SECRET: cronSecret,
    UNIPILE_DSN: sandbox.url,
    UNIPILE_API_KEY: SANDBOX_API_KEY,
    WHATSAPP_ACCESS_TOKEN: SANDBOX_ACCESS_TOKEN,
    WHATSAPP_BASE_URL: sandbox.url,
  }) as NodeJS.ProcessEnv;
  const app = spawn(process.execPath, [next, 'start', '-H', '127.0.0.1', '-p', `${port}`], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const call = async (path: string, token: string, body?: object) => {
    const response = await fetch(`${address}${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    if (response.ok) return response.json();
    throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  };
  const isHealthy = () =>
    fetch(`${address}/api/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  if (!(await until(isHealthy, Date.now() + 120_000, 250))) throw new Error('the app did not start');
  return {
    sandbox,
    api: (path, body) => call(path, apiKey, body),
    sql: (text) => call('/api/sql', cronSecret, { sql: text, directory: realpathSync(data) }),
    tick: () => call('/api/cron/dm-queue', cronSecret),
    async signIn(role, name, path = '/') {
      const context = await browser.newContext({ viewport: { width: 1_280, height: 900 } });
      const page = await context.newPage();
      await page.goto(`${address}/login`, { waitUntil: 'load' });
      await page.getByLabel('Your name').fill(name);
      await page.getByLabel('Password').fill(passwords[role]);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.locator('#queues').waitFor();
      if (path !== '/') await page.goto(`${address}${path}`, { waitUntil: 'load' });
      return page;
    },
    async end() {
      const ended = new Promise((resolve) => app.once('exit', resolve));
      app.kill('SIGTERM');
      await ended;
      await sandbox.close();
      rmSync(data, { recursive: true, force: true });
    },
  };
}
