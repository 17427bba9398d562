import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { tick } from '../../lib/engine/tick.ts';
import { defineJob } from '../../lib/jobs/define-job.ts';
import { JobError } from '../../lib/jobs/job-error.ts';
import { messageQueue } from '../../lib/queues/pgmq/queue.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { realTimePorts } from '../support/real-time-ports.ts';

interface WorkerSettings {
  supabaseUrl: string;
  serviceRoleKey: string;
  /** A folder for the process's file, with a line `<n> <attempt>` for each handled message, written before the handler returns. */
  journal: string;
  /** How much later the database is told that it is. A message to the process changes it. */
  aheadMs: number;
}

/** How the handler treats the n-th message. */
export const killsWorker = (n: number) => n % 2_500 === 1_200;
export const failsForGood = (n: number) => n % 500 === 7;
export const failsOnce = (n: number) => n % 50 === 3;

const file = fileURLToPath(import.meta.url);

/** Starts a worker in a process of its own, which ticks until it is killed. */
export function startWorker(settings: WorkerSettings): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', file], {
    env: { ...process.env, WORKER_SETTINGS: JSON.stringify(settings) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

async function work(settings: WorkerSettings): Promise<void> {
  const { supabaseUrl: url, serviceRoleKey, journal } = settings;
  let { aheadMs } = settings;
  process.on('message', (ms: number) => {
    aheadMs = ms;
  });
  const handled = path.join(journal, String(process.pid));
  const queue = messageQueue({
    handle: defineJob({
      payload: z.object({ n: z.int() }),
      async run({ n }, { attempt }) {
        await sleep(5 + Math.random() * 30);
        appendFileSync(handled, `${n} ${attempt}\n`);
        if (killsWorker(n)) process.kill(process.pid, 'SIGKILL');
        if (failsForGood(n)) throw new JobError('no such order', { retry: false });
        if (failsOnce(n) && attempt === 1) throw new Error('not yet');
      },
    }),
  });
  const ports = realTimePorts(supabaseRpc({ url, serviceRoleKey }), () => aheadMs);
  for (;;) {
    const options = { deps: null, partition: 'orders', limitMs: 60_000, scheduler: 'test' };
    const report = await tick(queue, ports, options);
    if (report.counts.claimed === 0) await sleep(20);
  }
}

if (process.argv[1] === file) await work(JSON.parse(process.env.WORKER_SETTINGS ?? ''));
