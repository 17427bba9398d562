import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Container, makeContainer } from '../../lib/server/container';
import { serverEnv } from '../../lib/server/env';
import { readSchedules } from '../../worker/local-clock';
import { runWorker } from '../../worker/run-worker';

const shared = globalThis as typeof globalThis & { punctual?: Promise<Container> };

afterEach(() => {
  shared.punctual = undefined;
  vi.restoreAllMocks();
});

const signal = () => new AbortController().signal;

describe('the worker', () => {
  it.each<[args: string[], env: object, code: number, says: RegExp]>([
    [['--help'], {}, 0, /npm run worker -- .*WORKER_SECRET/s],
    [['--every', '0'], {}, 2, /from 1 to 60/],
    [['--every', '61'], {}, 2, /from 1 to 60/],
    [['--every', 'often'], {}, 2, /from 1 to 60/],
    [['--only', ' , '], {}, 2, /names nothing/],
    [['--queue', 'jobs'], {}, 2, /--queue/],
    [[], { PORT: '80800' }, 2, /PORT is no port/],
  ])('%j with %j ends with %d', async (args, env, code, says) => {
    const said: string[] = [];
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((text) => said.push(String(text)) > 0);
    }
    expect(await runWorker(args, signal(), env as NodeJS.ProcessEnv)).toBe(code);
    expect(said.join('')).toMatch(says);
  });

  it('says what there is where it is to tick what there is not', async () => {
    await expect(runWorker(['--only', 'jobs,mail'], signal(), {} as NodeJS.ProcessEnv)).rejects.toThrow(
      /vercel\.json has no mail; it has dm-queue, .*prune/,
    );
  });

  it('leaves paths that are pinned to a region to those who are there, unless it is told otherwise', async () => {
    const env = serverEnv({ SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SERVICE_ROLE_KEY: 'key' });
    const made = await makeContainer({ ...env, logLevel: 'fatal' });
    const told: Record<string, unknown>[] = [];
    const log = { ...made.log, info: (fields: object) => void told.push(fields as Record<string, unknown>) };
    shared.punctual = Promise.resolve({ ...made, log });
    // It has ended before it begins: what it says is what it would have done.
    const over = AbortSignal.abort();
    const port = { PORT: '0', HOST: '127.0.0.1' } as unknown as NodeJS.ProcessEnv;
    expect(await runWorker([], over, port)).toBe(0);
    const left = told.flatMap(({ path, why }) => (why ? [path] : []));
    expect(left).toEqual(['/api/cron/monitors/fra1', '/api/cron/monitors/sin1']);
    expect(readSchedules().pinned).toEqual(left);
    const ticked = told.flatMap(({ paths }) => (paths as string[] | undefined) ?? []);
    expect(ticked.length).toBe(readSchedules().crons.length - 2);

    told.length = 0;
    expect(await runWorker(['--only', 'monitors/fra1'], over, port)).toBe(0);
    expect(told.find(({ paths }) => paths)?.paths).toEqual(['/api/cron/monitors/fra1 (* * * * *)']);
  });
});
