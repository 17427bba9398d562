import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildWorker } from '../support/build-worker.ts';

/** A database that never responds. */
const database = createServer();
let child: ChildProcess | undefined;

beforeAll(async () => {
  buildWorker();
  database.listen(0, '127.0.0.1');
  await once(database, 'listening');
});
afterEach(() => void child?.kill('SIGKILL'));
afterAll(() => {
  database.closeAllConnections();
  database.close();
});

/** Starts the worker of jobs and waits for its first tick. `code` runs in its process, like code that a queue left behind. */
async function startWorker(graceSeconds: number, code = '') {
  const script = `data:text/javascript,${encodeURIComponent(code)}`;
  const args = ['--enable-source-maps', '--import', script, 'dist/worker.js', '--only', 'jobs'];
  const worker = spawn(process.execPath, args, {
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      PORT: '0',
      HOST: '127.0.0.1',
      SUPABASE_URL: `http://127.0.0.1:${(database.address() as AddressInfo).port}`,
      SUPABASE_SERVICE_ROLE_KEY: 'key',
      WORKER_GRACE_SECONDS: String(graceSeconds),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child = worker;
  const exit = once(worker, 'exit');
  let output = '';
  let url = '';
  const listens = new Promise<void>((resolve) => {
    for (const stream of [worker.stdout, worker.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
        url = /"url":"([^"]+)"/.exec(output)?.[1] ?? '';
        if (url) resolve();
      });
    }
  });
  await Promise.race([Promise.all([once(database, 'request'), listens]), exit]);
  return { worker, url, exit, output: () => output };
}

const onSignal = (code: string) => `process.on('SIGUSR2', () => { ${code} })`;

describe('the worker as a process', () => {
  it('survives an unhandled rejection, reports that it is stopping, and ends at once at a second SIGTERM', async () => {
    const { worker, url, exit, output } = await startWorker(
      600,
      onSignal('Promise.reject(new Error("left"))'),
    );
    worker.kill('SIGUSR2');
    while (!output().includes('Error: left')) await once(worker.stderr as never, 'data');
    expect((await fetch(`${url}/health`)).status).toBe(200);
    worker.kill('SIGTERM');
    let status = 200;
    while (status === 200) status = (await fetch(`${url}/health`)).status;
    expect(status).toBe(503);
    // Its grace of 600 s is longer than this test may take.
    worker.kill('SIGTERM');
    expect(await exit).toEqual([1, null]);
  });

  it('exits with 1 after an uncaught error, within its grace even if the database hangs', async () => {
    const { worker, exit, output } = await startWorker(8, onSignal('throw new Error("broken")'));
    const signalledAt = Date.now();
    worker.kill('SIGUSR2');
    expect(await exit).toEqual([1, null]);
    expect(output()).toMatch(/Error: broken.*the worker has ended/s);
    expect(Date.now() - signalledAt).toBeLessThan(8_000);
  });

  it('logs a failed tick with its source file, not the compiled one', async () => {
    const { worker, output } = await startWorker(8);
    while (!output().includes('a tick failed')) {
      database.closeAllConnections();
      await once(worker.stdout as never, 'data');
    }
    expect(output()).toMatch(/lib\/store\/supabase-rpc\.ts:\d+/);
    expect(output()).not.toContain('dist/');
  });

  it('needs no package at run time that npm ci --omit=dev leaves out', () => {
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    const files = readdirSync('dist').filter((file) => file.endsWith('.js'));
    const packages = files.flatMap((file) => {
      const imports = readFileSync(`dist/${file}`, 'utf8').matchAll(
        /^(?:import|} from) .*?"([^".][^"]*)";$/gm,
      );
      return [...imports].map(([, name = '']) => /^(@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name);
    });
    expect(packages).toContain('zod');
    expect(packages.filter((name) => !name.startsWith('node:') && !(name in dependencies))).toEqual([]);
  });
});
