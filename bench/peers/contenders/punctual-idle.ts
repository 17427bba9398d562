import { z } from 'zod';
import { done } from '../../../lib/engine/outcome.ts';
import { systemClock } from '../../../lib/engine/ports/clock.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { defineQueue } from '../../../lib/engine/queue.ts';
import { upstashLock } from '../../../lib/locks/upstash-lock.ts';
import type { Rpc } from '../../../lib/store/rpc.ts';
import { startRedisRestDoor } from '../../../tests/stack/redis-rest-door.ts';
import type { Contender } from './contender.ts';
import { addOwnQueue, runTicks, type Sql } from './punctual.ts';

export interface IdleSetting {
  name: string;
  /** Settled rows in the queue's table. */
  settled: number;
}

/** Ticks of a queue without a due row, with the overlap lock on Redis behind a REST API, as on Upstash. */
export async function punctualIdle(rpc: Rpc, sql: Sql, { name, settled }: IdleSetting): Promise<Contender> {
  const queue = await addOwnQueue(sql, { name, delivery: 'at-least-once', concurrency: 5, ticks: 1 });
  await sql(
    `insert into app.${queue} (payload, status, finished_at) select '{}', 'done', now() from generate_series(1, ${settled})`,
  );
  await sql(`vacuum (analyze) app.${queue}`);
  const door = await startRedisRestDoor();
  const definition = defineQueue({
    name: queue,
    row: z.object({ id: z.coerce.string() }),
    delivery: 'at-least-once',
    timeoutMs: 30_000,
    connect: () => null,
    perform: async () => done(),
  });
  let calls = 0;
  const counting: Rpc = (fn, args) => {
    calls++;
    return rpc(fn, args);
  };
  return {
    name,
    guarantees: 'recovers rows of ticks that died',
    enqueue: () => Promise.reject(new Error('this contender has no due rows')),
    drain: () => Promise.reject(new Error('this contender has no due rows')),
    async idle() {
      // A new lock, whose key has run out: a tick that finds it held would be skipped.
      await door.redis('flushall');
      door.resetCommands();
      calls = 0;
      const lock = upstashLock({ url: door.url, token: door.token, clock: systemClock, log: silentLog });
      const startedAt = performance.now();
      const [report] = await runTicks(counting, definition, 1, lock);
      const ms = performance.now() - startedAt;
      if (report?.outcome !== 'idle') throw new Error(`${name}: the tick was ${report?.outcome}`);
      return { ms, calls, commands: door.commands().length };
    },
    close: () => door.stop(),
  };
}
