import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort } from '../../../tests/stack/child-server.ts';
import { buildWorker } from '../../../tests/support/build-worker.ts';
import type { Contender, Servers } from './contender.ts';

/** The worker as a process of its own, which ticks the queue `jobs`. It ticks every second if nothing tells it of a row. */
export async function punctualWorker(
  servers: Servers,
  { name, over }: { name: string; over: 'rest' | 'direct' },
): Promise<Contender> {
  const database = new Client({ connectionString: servers.databaseUrl });
  await database.connect();
  buildWorker();
  return {
    name,
    guarantees: 'at least once',
    enqueue: () => Promise.reject(new Error('this contender measures times only')),
    drain: () => Promise.reject(new Error('this contender measures times only')),
    // From the insert to the end, by the clock of the database.
    async startTimes(count, everyMs) {
      // Started anew each time: two workers would take each other's jobs.
      const worker = spawn(process.execPath, ['dist/worker.js', '--only', 'jobs', '--every', '1'], {
        env: {
          PATH: process.env.PATH,
          PORT: String(await freePort()),
          HOST: '127.0.0.1',
          SUPABASE_URL: servers.supabaseUrl,
          SUPABASE_SECRET_KEY: servers.serviceRoleKey,
          ...(over === 'direct' && { DATABASE_URL: servers.databaseUrl }),
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await untilSaid(worker, 'the worker ticks');
      const ids: string[] = [];
      for (let n = 0; n < count; n++) {
        const { rows } = await database.query(
          `insert into punctual.jobs (name, payload) values ('count-words', '{"text": "a"}') returning id`,
        );
        ids.push(rows[0].id);
        await sleep(everyMs);
      }
      for (;;) {
        const { rows } = await database.query(
          `select extract(epoch from finished_at - created_at)::double precision * 1000 as ms from punctual.jobs where id = any ($1) and status = 'done'`,
          [ids],
        );
        if (rows.length === count) {
          const ended = once(worker, 'exit');
          worker.kill('SIGTERM');
          await ended;
          return rows.map(({ ms }) => ms);
        }
        await sleep(100);
      }
    },
    close: () => database.end(),
  };
}

/** Resolves once the process has written `text`. */
function untilSaid(child: ChildProcess, text: string): Promise<void> {
  let said = '';
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(text)) resolve();
    });
    child.once('exit', () => reject(new Error(`the worker ended: ${said}`)));
  });
}
