import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { dev } from '@/lib/cli/dev.ts';
import { makeApp, terminalIn } from './cli-bench.ts';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

const daily =
  '{ "crons": [{ "path": "/api/mine", "schedule": "* * * * *" }, { "path": "/api/punctual/cron/process-scheduled", "schedule": "5 6 * * *" }] }';

describe('npx punctual dev', () => {
  it('ticks the app at once, also where vercel.json fits Hobby, and ends by the signal', async () => {
    const calls: string[] = [];
    const stop = new AbortController();
    const server = createServer((request, response) => {
      calls.push(`${request.url} ${request.headers.authorization}`);
      response.setHeader('content-type', 'application/json').end('{}');
      if (calls.length === 2) stop.abort();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => new Promise((resolve) => void server.close(() => resolve())));
    vi.spyOn(console, 'log').mockImplementation(() => {});
    for (const [name, value] of Object.entries({ CRON_SECRET: 's', STORE: 'embedded', SUPABASE_URL: '' }))
      vi.stubEnv(name, value);

    const { terminal, printed } = terminalIn(makeApp({ 'vercel.json': daily }));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await dev(['--url', url], { ...terminal, signal: stop.signal })).toBe(0);
    expect(calls.sort()).toEqual([
      '/api/punctual/cron/process-scheduled Bearer s',
      '/api/punctual/cron/reconcile Bearer s',
    ]);
    expect(printed()).toContain(`${url}/api/punctual/health`);
  });

  it('refuses an interval and an address that are none', async () => {
    const { terminal } = terminalIn(makeApp());
    await expect(dev(['--every', '0'], terminal)).rejects.toThrow('a number of seconds from 1 to 60');
    await expect(dev(['--url', 'localhost'], terminal)).rejects.toThrow('give an address');
  });
});
