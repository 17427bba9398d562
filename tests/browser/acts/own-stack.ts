import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, Page, Request } from 'playwright-core';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../lib/sandbox/shapes/whatsapp-shape.ts';
import { childEnv } from '../../../scripts/demo/processes/child-env.ts';
import { callApi } from '../demo/figures.ts';
import { freePorts } from '../free-port.ts';
import { newPage, open, until } from '../page.ts';

const next = path.resolve('node_modules/next/dist/bin/next');
const apiKey = 'a-key-of-this-test-alone';
export const viewerApiKey = 'a-key-of-this-test-to-read';
const cronSecret = 'a-secret-of-this-test-alone';
const passwords = { operator: 'the password of operators', viewer: 'the password of viewers' };

/** A request that changes something, kept beyond its page. */
export interface SentAct {
  url: string;
  headers: Promise<Record<string, string>>;
  body: Buffer | null;
}

export function keepAct(request: Request): SentAct {
  return { url: request.url(), headers: request.allHeaders(), body: request.postDataBuffer() };
}

/** An app with passwords, an empty database and a sandbox without faults. */
export interface OwnStack {
  address: string;
  port: number;
  password: string;
  sandbox: Sandbox;
  /** Posts to the API, or reads without a body. */
  // biome-ignore lint/suspicious/noExplicitAny: each call has a shape of its own.
  api(path: string, body?: object): Promise<any>;
  /** Runs SQL on the app's database. */
  sql(text: string): Promise<unknown>;
  /** Calls a cron endpoint, and returns its response. */
  // biome-ignore lint/suspicious/noExplicitAny: each endpoint has a report of its own.
  tick(endpoint?: string): Promise<any>;
  /** Opens a page in a browser of its own, signed in. Without a name, people stay nameless. */
  signIn(role: keyof typeof passwords, name: string, path?: string): Promise<Page>;
  /** Changes the sandbox's faults. */
  setFaults(faults: object): Promise<unknown>;
  /** What operators' pages sent to change something: one request for each Server Function and each route of the API. */
  acts: Map<string, SentAct>;
  /** Goes to a path. */
  open(page: Page, path: string): Promise<void>;
  end(): Promise<void>;
}

export async function startOwnStack(browser: Browser): Promise<OwnStack> {
  const sandbox = await startSandbox();
  const [port = 0] = await freePorts(1);
  const address = `http://127.0.0.1:${port}`;
  const data = mkdtempSync(path.join(tmpdir(), 'punctual-browser-'));
  const app = startApp(port, data, sandbox);
  const acts: OwnStack['acts'] = new Map();
  const isHealthy = () =>
    fetch(`${address}/api/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  if (!(await until(() => app.exitCode !== null || isHealthy())) || app.exitCode !== null)
    throw new Error('the app did not start');
  return {
    address,
    port,
    password: passwords.operator,
    sandbox,
    acts,
    setFaults: (faults) => callApi(sandbox.url, '', '/faults', faults),
    api: (path, body) => callApi(address, apiKey, path, body),
    sql: (text) => callApi(address, cronSecret, '/api/sql', { sql: text, directory: realpathSync(data) }),
    tick: (endpoint = 'dm-queue') => callApi(address, cronSecret, `/api/cron/${endpoint}`),
    open: (page, path) => open(page, `${address}${path}`),
    async signIn(role, name, path = '/') {
      const { page } = await newPage(browser);
      if (role === 'operator') page.on('request', (request) => record(acts, request));
      await page.goto(`${address}/login`, { waitUntil: 'load' });
      await page.getByLabel('Your name').fill(name);
      await page.getByLabel('Password').fill(passwords[role]);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.locator('#queues').waitFor();
      await open(page, `${address}${path}`);
      return page;
    },
    async end() {
      const ended = new Promise((resolve) => app.once('exit', resolve));
      if (app.exitCode === null && app.kill('SIGTERM')) await ended;
      await sandbox.close();
      rmSync(data, { recursive: true, force: true });
    },
  };
}

function record(acts: OwnStack['acts'], request: Request): void {
  if (request.method() !== 'POST') return;
  const { pathname } = new URL(request.url());
  const action = request.headers()['next-action'];
  if (action) acts.set(`function ${action}`, keepAct(request));
  else if (/^\/api\/(?!session)/.test(pathname))
    acts.set(pathname.replace(/\/\d+/g, '/:id'), keepAct(request));
}

/** Starts the build over the database in `data`. */
function startApp(port: number, data: string, sandbox: Sandbox): ChildProcess {
  const env = childEnv(process.env, {
    PUNCTUAL_DEMO: '1',
    STORE: 'embedded',
    PUNCTUAL_DATA: data,
    DASHBOARD_PASSWORD: passwords.operator,
    DASHBOARD_VIEWER_PASSWORD: passwords.viewer,
    API_KEY: apiKey,
    VIEWER_API_KEY: viewerApiKey,
    CRON_SECRET: cronSecret,
    UNIPILE_DSN: sandbox.url,
    UNIPILE_API_KEY: SANDBOX_API_KEY,
    WHATSAPP_ACCESS_TOKEN: SANDBOX_ACCESS_TOKEN,
    WHATSAPP_BASE_URL: sandbox.url,
  }) as NodeJS.ProcessEnv;
  return spawn(process.execPath, [next, 'start', '-H', '127.0.0.1', '-p', `${port}`], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
