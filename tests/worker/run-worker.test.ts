import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { serverEnv } from '../../lib/services/env.ts';
import { makeServices } from '../../lib/services/services.ts';
import { readSchedules } from '../../worker/local-scheduler.ts';
import { chooseEntries, runWorker } from '../../worker/run-worker.ts';
import { provideServices } from '../support/api-server.ts';

afterEach(() => {
  provideServices(null);
  vi.restoreAllMocks();
});

const signal = () => new AbortController().signal;

describe('the worker', () => {
  it.each<[args: string[], env: object, code: number, expected: RegExp]>([
    [['--help'], {}, 0, /npm run worker -- .*WORKER_SECRET/s],
    [['--every', '4'], {}, 2, /from 5 to 60/],
    [['--every', '61'], {}, 2, /from 5 to 60/],
    [['--every', 'often'], {}, 2, /from 5 to 60/],
    [['--only', ' , '], {}, 2, /names no path/],
    [['--queue', 'jobs'], {}, 2, /--queue/],
    [
      ['--only', 'jobs,mail'],
      {},
      2,
      /no schedule for mail\. There are schedules for enrolments, dm-queue, .*prune/,
    ],
    [['--schedules', 'nowhere.json'], {}, 2, /nowhere\.json/],
    [[], { PORT: '80800' }, 2, /PORT must be a port number/],
  ])('%j with the environment %j exits with %d', async (args, env, code, expected) => {
    const output: string[] = [];
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((text) => output.push(String(text)) > 0);
    }
    expect(await runWorker(args, signal(), env as NodeJS.ProcessEnv)).toBe(code);
    expect(output.join('')).toMatch(expected);
  });

  it('skips paths that are pinned to a region, unless --only names them', async () => {
    const env = serverEnv({ SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SERVICE_ROLE_KEY: 'key' });
    const made = await makeServices({ ...env, logLevel: 'fatal' });
    const logged: Record<string, unknown>[] = [];
    const log = {
      ...made.log,
      info: (fields: object) => void logged.push(fields as Record<string, unknown>),
    };
    provideServices({ ...made, log });
    // The signal has fired already, so the worker logs its paths and ends.
    const over = AbortSignal.abort();
    const port = { PORT: '0', HOST: '127.0.0.1' } as unknown as NodeJS.ProcessEnv;
    expect(await runWorker([], over, port)).toBe(0);
    const skipped = logged.flatMap(({ path, why }) => (why ? [path] : []));
    expect(skipped).toEqual(['/api/cron/monitors/fra1', '/api/cron/monitors/sin1']);
    const ticked = logged.flatMap(({ paths }) => (paths as string[] | undefined) ?? []);
    expect(ticked.length).toBe(readSchedules().crons.length - 2);

    logged.length = 0;
    expect(await runWorker(['--only', 'monitors/fra1'], over, port)).toBe(0);
    expect(logged.find(({ paths }) => paths)?.paths).toEqual(['/api/cron/monitors/fra1 (* * * * *)']);
  });

  it('requests the URL of its heartbeat, and keeps it out of the log', async () => {
    const requests: string[] = [];
    const server = createServer(({ url = '' }, response) => {
      requests.push(url);
      response.end('OK');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const env = serverEnv({
      SUPABASE_URL: 'http://127.0.0.1',
      SUPABASE_SECRET_KEY: 'key',
      WORKER_HEARTBEAT_URL: `http://127.0.0.1:${port}/secret-of-the-check`,
    });
    const made = await makeServices({ ...env, logLevel: 'fatal' });
    const logged: unknown[] = [];
    const write = (fields: object) => void logged.push(fields);
    provideServices({ ...made, log: { info: write, warn: write, error: write } });
    const stop = new AbortController();
    const environment = { PORT: '0', HOST: '127.0.0.1' } as unknown as NodeJS.ProcessEnv;
    const ended = runWorker(['--only', 'prune'], stop.signal, environment);
    await vi.waitFor(() => expect(requests).toEqual(['/secret-of-the-check']), 30_000);
    stop.abort();
    expect(await ended).toBe(0);
    expect(JSON.stringify(logged)).not.toContain('secret-of-the-check');
    server.close();
  });

  const crons = ['dm-queue', 'jobs?partition=my_reports', 'monitors', 'monitors/eu', 'mine'].map((name) => ({
    path: `/api/cron/${name}`,
    schedule: '* * * * *',
  }));
  const chosen = (only: string[] | null, isPinned: (path: string) => boolean) => {
    const { entries, fault } = chooseEntries(only, { crons, isPinned });
    return fault ?? entries.map(({ entry }) => entry.path.slice('/api/cron/'.length));
  };

  it('skips pinned paths of monitors, and ticks those of other queues wherever they are pinned', () => {
    expect(chosen(null, () => true)).toEqual(['dm-queue', 'jobs?partition=my_reports']);
    expect(chosen(null, (path) => path.endsWith('/eu'))).toEqual([
      'dm-queue',
      'jobs?partition=my_reports',
      'monitors',
    ]);
  });

  it('accepts names as the registry or the paths spell them, and names those that it cannot tick', () => {
    expect(chosen(['dm_queue', 'jobs?partition=my_reports', 'monitors/eu'], () => true)).toEqual([
      'dm-queue',
      'jobs?partition=my_reports',
      'monitors/eu',
    ]);
    expect(chosen(['dm-queue', 'mine'], () => true)).toMatch(
      /no schedule for mine\. There are schedules for dm-queue, /,
    );
    expect(chooseEntries(null, { crons: [], isPinned: () => false }).fault).toMatch(/nothing to tick/);
  });

  it('refuses a path with a parameter that its route would refuse', () => {
    const entry = (path: string) => [{ path: `/api/cron/${path}`, schedule: '* * * * *' }];
    const choose = (path: string) => chooseEntries(null, { crons: entry(path), isPinned: () => false });
    expect(choose('jobs?queue=my_reports').fault).toBe(
      '/api/cron/jobs?queue=my_reports: the path does not take ?queue=. ?partition= names a partition',
    );
    expect(choose('analytics?day=2026-11-28').fault).toBeUndefined();
    expect(choose('mine?anything=1').fault).toMatch(/nothing to tick/);
  });

  it('ticks nothing if its port is taken', async () => {
    const other = createServer();
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    const env = serverEnv({ SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SERVICE_ROLE_KEY: 'key' });
    const made = await makeServices({ ...env, logLevel: 'fatal' });
    let exchanges = 0;
    const exchange = () => {
      exchanges++;
      return Promise.reject(new Error('no exchange is expected'));
    };
    const store = { ...made.ports.store, exchange };
    provideServices({ ...made, ports: { ...made.ports, store } });
    const port = String((other.address() as AddressInfo).port);
    const stop = new AbortController();
    await expect(
      runWorker(['--only', 'monitors'], stop.signal, { PORT: port, HOST: '127.0.0.1' } as never),
    ).rejects.toThrow(/EADDRINUSE/);
    stop.abort();
    other.close();
    expect(exchanges).toBe(0);
  });
});
