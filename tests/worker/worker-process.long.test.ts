import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildWorker } from '../support/build-worker.ts';

/** A database that never answers. */
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

/** The worker of jobs, its first tick under way, and `code` run in its process as if a queue had left it behind. */
async function startWorker(graceSeconds: number, code = '') {
  const worker = spawn(
    process.execPath,
    [
      ...['--enable-source-maps', '--import', `data:text/javascript,${encodeURIComponent(code)}`],
      ...['dist/worker.js', '--only', 'jobs'],
    ],
    {
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
    },
  );
  child = worker;
  const exit = once(worker, 'exit');
  let said = '';
  let url = '';
  const listens = new Promise<void>((resolve) => {
    for (const stream of [worker.stdout, worker.stderr]) {
      stream.on('data', (chunk) => {
        said += chunk;
        url = /"url":"([^"]+)"/.exec(said)?.[1] ?? '';
        if (url) resolve();
      });
    }
  });
  const asked = once(database, 'request');
  await Promise.race([Promise.all([asked, listens]), exit]);
  return { worker, url, exit, said: () => said };
}

const onSignal = (code: string) => `process.on('SIGUSR2', () => { ${code} })`;

describe('the worker as a process', () => {
  it('outlives what a queue’s code leaves behind, says that it ends, and ends at once when told twice', async () => {
    const { worker, url, exit, said } = await startWorker(600, onSignal('Promise.reject(new Error("left"))'));
    worker.kill('SIGUSR2');
    while (!said().includes('Error: left')) await once(worker.stderr as never, 'data');
    expect((await fetch(`${url}/health`)).status).toBe(200);
    worker.kill('SIGTERM');
    let status = 200;
    while (status === 200) status = (await fetch(`${url}/health`)).status;
    expect(status).toBe(503);
    // At its grace it would end after this test's time.
    worker.kill('SIGTERM');
    expect(await exit).toEqual([1, null]);
  });

  it('ends with 1 by an error that nobody caught, within the grace though its database hangs', async () => {
    const { worker, exit, said } = await startWorker(8, onSignal('throw new Error("broken")'));
    const toldAt = Date.now();
    worker.kill('SIGUSR2');
    expect(await exit).toEqual([1, null]);
    expect(said()).toMatch(/Error: broken.*the worker has ended/s);
    expect(Date.now() - toldAt).toBeLessThan(8_000);
  });

  it('names the source of a failed tick in its log, not the compiled file', async () => {
    const { worker, said } = await startWorker(8);
    while (!said().includes('a tick failed')) {
      database.closeAllConnections();
      await once(worker.stdout as never, 'data');
    }
    expect(said()).toMatch(/lib\/store\/supabase-rpc\.ts:\d+/);
    expect(said()).not.toContain('dist/');
  });

  it('needs nothing at run time that npm ci --omit=dev leaves out', () => {
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
