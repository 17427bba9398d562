import { isError } from '../http/error-response';
import { findQueue } from '../queues/scheduled-queue';
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
    const failing = behind ?? (hasTicked(queue, stats.now) ? null : missingSettings(queue.name, env));
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

/** What has to be set before a queue can tick; null where nothing has. */
function missingSettings(name: string, env: ServerEnv): string | null {
  try {
    findQueue(name, scheduledQueues)?.queue.connect(env);
    return null;
  } catch (error) {
    if (isError(error, 'NotConfiguredError')) return error.message;
    throw error;
  }
}
