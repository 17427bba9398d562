import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { GET as tick } from '../../app/api/cron/jobs/route.ts';
import { signBody } from '../../lib/jobs/signature.ts';
import { getJob } from '../../lib/queues/jobs/get-job.ts';
import { punctual } from '../../punctual.ts';
import { apiRequest, bearer, CRON_SECRET } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

const secret = 'the secret of this app';
const database = servedDatabase({ JOB_SIGNING_SECRET: secret, MONITOR_ALLOW_PRIVATE: '127.0.0.1' });

let receiver: ChildProcess | null = null;
afterEach(() => receiver?.kill());

/** Runs the example as its first line says, and returns its URL. */
async function startReceiver(env: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'examples/signed-jobs/receiver.ts'], {
    env: { NODE_ENV: 'test', PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  receiver = child;
  const [line] = await once(child.stdout, 'data');
  return `http://127.0.0.1:${/port: (\d+)/.exec(String(line))?.[1]}/`;
}

const runJobs = () => tick(apiRequest('GET', '/api/cron/jobs', bearer(CRON_SECRET)));

it('the example does a job once, however often it is called, and refuses strangers', async () => {
  const url = await startReceiver({ JOB_SIGNING_SECRET: secret });
  const { id } = await punctual.createJob({ url, payload: { to: 'ann@example.com' } });
  await runJobs();
  const result = { mailedTo: 'ann@example.com', attempt: '1' };
  expect(await getJob(id)).toMatchObject({ status: 'done', attempts: 1, result });

  // As if the answer had been lost.
  await database.sql(`update punctual.jobs set status = 'pending', result = null, finished_at = null`);
  await runJobs();
  expect(await getJob(id)).toMatchObject({ status: 'done', attempts: 2, result });

  const body = '{"to":"mallory@example.com"}';
  const header = await signBody(body, ['another secret'], Math.floor(Date.now() / 1_000));
  for (const headers of [undefined, { 'punctual-signature': header }])
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(401);
});

it('a job whose receiver has another secret fails at once, and its error says what to compare', async () => {
  const url = await startReceiver({ JOB_SIGNING_SECRET: 'another' });
  const { id } = await punctual.createJob({ url, payload: { to: 'ann@example.com' } });
  await runJobs();
  const last_error = expect.stringMatching(/answered 401: .*compare the secret with the JOB_SIGNING_SECRET/);
  expect(await getJob(id)).toMatchObject({ status: 'failed', attempts: 1, last_error });
});
