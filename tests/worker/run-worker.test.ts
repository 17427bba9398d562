import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import { readSchedules } from '../../lib/worker/local-scheduler.ts';
import { chooseEntries, runWorker } from '../../lib/worker/run-worker.ts';
import { workerServices } from './worker-services.ts';

const { provide, outputOf } = workerServices();
const run = (args: string[], signal: AbortSignal, env: object = { PORT: '0', HOST: '127.0.0.1' }) =>
  runWorker(args, signal, env as NodeJS.ProcessEnv);

it.each<[args: string[], env: object, code: number, expected: RegExp]>([
  [['--help'], {}, 0, /npm run worker -- .*WORKER_SECRET/s],
  [['--every', '0'], {}, 2, /from 1 to 60/],
  [['--every', '61'], {}, 2, /from 1 to 60/],
  [['--every', 'often'], {}, 2, /from 1 to 60/],
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
  const [exit, output] = await outputOf(() => run(args, new AbortController().signal, env));
  expect([exit, output]).toEqual([code, expect.stringMatching(expected)]);
});

it('the worker skips paths that are pinned to a region, unless --only names them', async () => {
  const logged = await provide();
  // The signal has fired already, so the worker logs its paths and ends.
  expect(await run([], AbortSignal.abort())).toBe(0);
  const skipped = logged.flatMap(({ path, why }) => (why ? [path] : []));
  expect(skipped).toEqual(['/api/cron/monitors/fra1', '/api/cron/monitors/sin1']);
  const ticked = () => logged.flatMap(({ paths }) => (paths as string[] | undefined) ?? []);
  expect(ticked().length).toBe(readSchedules().crons.length - 2);

  logged.length = 0;
  expect(await run(['--only', 'monitors/fra1'], AbortSignal.abort())).toBe(0);
  expect(ticked()).toEqual(['/api/cron/monitors/fra1 (* * * * *)']);
});

/** Starts a server on a free port. */
async function listen(onRequest: (url: string) => void): Promise<string> {
  const server = createServer(({ url = '' }, response) => {
    onRequest(url);
    response.end('OK');
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return String((server.address() as AddressInfo).port);
}

it('the worker requests the URL of its heartbeat, and keeps it out of the log', async () => {
  const requests: string[] = [];
  const port = await listen((url) => requests.push(url));
  const logged = await provide({ WORKER_HEARTBEAT_URL: `http://127.0.0.1:${port}/secret-of-the-check` });
  const stop = new AbortController();
  const ended = run(['--only', 'prune'], stop.signal);
  await vi.waitFor(() => expect(requests).toEqual(['/secret-of-the-check']), 30_000);
  stop.abort();
  expect(await ended).toBe(0);
  expect(JSON.stringify(logged)).not.toContain('secret-of-the-check');
});

it('the worker ticks nothing if its port is taken', async () => {
  const PORT = await listen(() => {});
  let exchanges = 0;
  const exchange = () => {
    exchanges++;
    return Promise.reject(new Error('no exchange is expected'));
  };
  await provide({}, ({ ports }) => ({ ports: { ...ports, store: { ...ports.store, exchange } } }));
  const stop = new AbortController();
  const running = run(['--only', 'monitors'], stop.signal, { PORT, HOST: '127.0.0.1' });
  await expect(running).rejects.toThrow(/EADDRINUSE/);
  stop.abort();
  expect(exchanges).toBe(0);
});

/** The paths without `/api/cron/` that a worker ticks of these, or why it cannot. */
function chosen(only: string[] | null, paths: string[], isPinned: (path: string) => boolean = () => false) {
  const crons = paths.map((path) => ({ path: `/api/cron/${path}`, schedule: '* * * * *' }));
  const { entries, fault } = chooseEntries(only, { crons, isPinned });
  return fault ?? entries.map(({ entry }) => entry.path.slice('/api/cron/'.length));
}
const paths = ['dm-queue', 'jobs?partition=my_reports', 'monitors', 'monitors/eu', 'mine'];
const own = ['dm-queue', 'jobs?partition=my_reports'];

it('the worker skips pinned paths of monitors, and ticks those of other queues wherever they are pinned', () => {
  expect(chosen(null, paths, () => true)).toEqual(own);
  expect(chosen(null, paths, (path) => path.endsWith('/eu'))).toEqual([...own, 'monitors']);
});

it('the worker accepts names as the registry or the paths spell them, and names those that it cannot tick', () => {
  const named = chosen(['dm_queue', 'jobs?partition=my_reports', 'monitors/eu'], paths, () => true);
  expect(named).toEqual([...own, 'monitors/eu']);
  expect(chosen(['dm-queue', 'mine'], paths)).toMatch(
    /no schedule for mine\. There are schedules for dm-queue, /,
  );
  expect(chosen(null, [])).toMatch(/nothing to tick/);
});

it('the worker refuses a path with a parameter that its route would refuse', () => {
  expect(chosen(null, ['jobs?queue=my_reports'])).toBe(
    '/api/cron/jobs?queue=my_reports: the path does not take ?queue=. ?partition= names a partition',
  );
  expect(chosen(null, ['analytics?day=2026-11-28'])).toEqual(['analytics?day=2026-11-28']);
  expect(chosen(null, ['mine?anything=1'])).toMatch(/nothing to tick/);
});
