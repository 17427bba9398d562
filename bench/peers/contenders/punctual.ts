import { z } from 'zod';
import { done } from '../../../lib/engine/outcome.ts';
import { systemClock } from '../../../lib/engine/ports/clock.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import type { OverlapLock } from '../../../lib/engine/ports/overlap-lock.ts';
import { defineQueue, type Queue } from '../../../lib/engine/queue.ts';
import { tick } from '../../../lib/engine/tick.ts';
import type { TickReport } from '../../../lib/engine/tick-report.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import type { Rpc } from '../../../lib/store/rpc.ts';
import type { Contender } from './contender.ts';

export interface PunctualSetting {
  name: string;
  delivery: 'at-least-once' | 'at-most-once';
  concurrency: number;
  /** Ticks at once. */
  ticks: number;
}

/** Runs statements as the owner. */
export type Sql = (text: string, params?: unknown[]) => Promise<unknown>;

/** Makes a table and turns it into a queue. Returns the queue's name. */
export async function addOwnQueue(sql: Sql, setting: PunctualSetting): Promise<string> {
  const queue = `bench_${setting.name.toLowerCase().replace(/\W+/g, '_')}`;
  await sql('create schema if not exists app');
  await sql(
    `create table app.${queue} (id bigint generated always as identity primary key, run_at timestamptz not null default now(), payload jsonb not null)`,
  );
  await sql(`select punctual.add_queue('${queue}', 'app.${queue}', 'run_at', '${setting.delivery}')`);
  await sql(
    `update punctual.queues set concurrency = ${setting.concurrency}, max_ticks = ${setting.ticks}, batch_limit = null where name = '${queue}'`,
  );
  return queue;
}

/** Runs ticks side by side, and returns their reports. */
export function runTicks<Row>(
  rpc: Rpc,
  queue: Queue<Row, null, unknown>,
  ticks: number,
  lock: OverlapLock | null = null,
): Promise<TickReport[]> {
  const ports = {
    store: queueStore(rpc),
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    newId: () => crypto.randomUUID(),
    lock,
  };
  const lane = async () => {
    const report = await tick(queue, ports, { deps: null, limitMs: 300_000, scheduler: 'bench' });
    if (report.outcome === 'skipped') throw new Error('a tick was skipped');
    return report;
  };
  return Promise.all(Array.from({ length: ticks }, lane));
}

/** A queue of a table of the user's own, over `rpc`. */
export async function punctual(
  rpc: Rpc,
  sql: Sql,
  setting: PunctualSetting,
  close: () => Promise<void>,
): Promise<Contender> {
  const queue = await addOwnQueue(sql, setting);
  return {
    name: setting.name,
    guarantees:
      setting.delivery === 'at-least-once'
        ? 'at least once'
        : 'at most once; an uncertain attempt is `unknown`',
    enqueue: async (count) => {
      await sql(
        `insert into app.${queue} (payload) select jsonb_build_object('n', n) from generate_series(1, ${count}) n`,
      );
    },
    async drain(_count, handler) {
      const definition = defineQueue({
        name: queue,
        row: z.object({ id: z.coerce.string(), payload: z.object({ n: z.number() }) }),
        delivery: setting.delivery,
        timeoutMs: 30_000,
        connect: () => null,
        async perform() {
          await handler();
          return done();
        },
      });
      await runTicks(rpc, definition, setting.ticks);
    },
    close,
  };
}
