import { z } from 'zod';
import { done } from '../../../lib/engine/outcome.ts';
import { systemClock } from '../../../lib/engine/ports/clock.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { defineQueue } from '../../../lib/engine/queue.ts';
import { tick } from '../../../lib/engine/tick.ts';
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

/** A queue of a table of the user's own, over `rpc`. */
export async function punctual(
  rpc: Rpc,
  sql: Sql,
  setting: PunctualSetting,
  close: () => Promise<void>,
): Promise<Contender> {
  const queue = `bench_${setting.name.toLowerCase().replace(/\W+/g, '_')}`;
  await sql('create schema if not exists app');
  await sql(
    `create table app.${queue} (id bigint generated always as identity primary key, run_at timestamptz not null default now(), payload jsonb not null)`,
  );
  await sql(`select punctual.add_queue('${queue}', 'app.${queue}', 'run_at', '${setting.delivery}')`);
  await sql(
    `update punctual.queues set concurrency = ${setting.concurrency}, max_ticks = ${setting.ticks}, batch_limit = null where name = '${queue}'`,
  );
  const store = queueStore(rpc);
  const ports = {
    store,
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    newId: () => crypto.randomUUID(),
    lock: null,
  };
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
      const options = { deps: null, limitMs: 300_000, scheduler: 'bench' };
      const lane = async () => {
        const report = await tick(definition, ports, options);
        if (report.outcome === 'skipped') throw new Error('a tick was skipped');
      };
      await Promise.all(Array.from({ length: setting.ticks }, lane));
    },
    close,
  };
}
