import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { runRegionAgent } from '../../lib/worker/region-agent.ts';
import { buildWorker } from '../support/build-worker.ts';
import { workerServices } from './worker-services.ts';

const { provide, outputOf } = workerServices();

describe('the agent', () => {
  const signal = () => new AbortController().signal;

  it('says how to create a region that does not exist', async () => {
    const state = {
      is_default: true,
      is_healthy: true,
      reason: null,
      last_tick_at: null,
      unseen_seconds: 180,
    };
    const region = { ...state, name: 'main', network_broken_until: null, monitors: 0, homes: 0 };
    await provide({}, () => ({ rpc: async () => [region] }));
    await expect(runRegionAgent(['--region', 'office'], signal())).rejects.toThrow(
      /there is no region "office"\. The regions are main\. To create it:\n.*POST .*\/api\/regions .*"office"/s,
    );
  });

  it.each<[args: string[], code: number, expected: RegExp]>([
    [['--help'], 0, /npm run agent -- --region office/],
    [[], 2, /--region is missing/],
    [['--region', 'main', '--every', '0'], 2, /from 1 to 60/],
    [['--region', 'main', '--every', '1.5'], 2, /from 1 to 60/],
    [['--regions', 'main'], 2, /--regions/],
  ])('%j exits with %d', async (args, code, expected) => {
    const [exit, output] = await outputOf(() => runRegionAgent(args, signal()));
    expect([exit, output]).toEqual([code, expect.stringMatching(expected)]);
  });
});

it('the agent as a process settles the running check after SIGTERM', async () => {
  buildWorker();
  const folder = await mkdtemp(path.join(tmpdir(), 'punctual-agent-'));
  const site = createServer().listen(0, '127.0.0.1');
  await once(site, 'listening');
  const host = `127.0.0.1:${(site.address() as AddressInfo).port}`;
  const directory = path.join(folder, 'db');
  const before = await PGlite.create(directory, {
    loadDataDir: new Blob([readFileSync(inject('snapshot'))]),
  });
  await before.query(
    `insert into punctual.monitors (name, url, next_check_at, preferred_region) values ('Slow', $1, now(), 'fra1')`,
    [`http://${host}/`],
  );
  await before.close();

  const agent = spawn(process.execPath, ['--enable-source-maps', 'dist/worker.js', '--region', 'fra1'], {
    env: { NODE_ENV: 'test', PUNCTUAL_DATA: directory, MONITOR_ALLOW_PRIVATE: host },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    agent.kill('SIGKILL');
    site.closeAllConnections();
    site.close();
    await rm(folder, { recursive: true, force: true });
  });
  let output = '';
  agent.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const exit = once(agent, 'exit');
  const firstRequest = await Promise.race([once(site, 'request'), exit]);
  expect(firstRequest).toEqual([expect.anything(), expect.objectContaining({ statusCode: 200 })]);
  agent.kill('SIGTERM');
  setTimeout(() => firstRequest[1].end('here'), 300);
  expect(await exit).toEqual([0, null]);
  expect(output).toContain('the agent has ended');

  const lines = output.split('\n').filter((line) => line.includes('"counts"'));
  const report = { partition: 'fra1', scheduler: 'agent', counts: { claimed: 1, again: 1 } };
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([report]);
});
