import { findQueue, missingSettings } from '../queues/scheduled-queue';
import { scheduledQueues } from '../queues/scheduled-queues';
import { configuredProviders } from '../services/configured-providers';
import { container } from '../services/container';
import type { ServerEnv } from '../services/env';
import type { Rpc } from '../store/rpc';
import { schemaState } from '../store/schema-version';
import { type Stats, statsSchema } from '../store/stats';
import { whyUnticked } from './unticked';

/** The dashboard's figures, a second old at most. Throws what `container()` throws, and a `StoreError`. */
export async function readStats(): Promise<Stats> {
  const { rpc, env, stats } = await container();
  return stats.get(() => computeStats(rpc, env));
}

async function computeStats(rpc: Rpc, env: ServerEnv): Promise<Stats> {
  const stats = statsSchema.parse(await rpc('read_stats', { p_configured: configuredProviders(env) }));
  const behind =
    schemaState(stats.schema ?? null) === 'behind'
      ? 'the database lacks migrations that this code needs: run `npm run migrate`'
      : null;
  const queues = stats.queues.map((queue) => {
    const known = findQueue(queue.name, scheduledQueues)?.queue;
    const unset = known && !hasTicked(queue, stats.now) ? missingSettings(known, env) : null;
    const failing = behind ?? unset?.message ?? null;
    return {
      ...queue,
      failing,
      unticked: failing === null ? whyUnticked(queue, Date.parse(stats.now)) : null,
    };
  });
  return { ...stats, queues };
}

/** In the last five minutes, be it by a worker, which has settings of its own. */
function hasTicked({ ticks }: Stats['queues'][number], now: string): boolean {
  return ticks.some(({ started_at }) => Date.parse(now) - Date.parse(started_at) < 300_000);
}
