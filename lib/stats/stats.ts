import { findQueue, missingSettings } from '../queues/find-queue.ts';
import { registeredApp } from '../queues/registered-app.ts';
import { configuredProviders, type ServerEnv } from '../services/env.ts';
import { getServices } from '../services/services.ts';
import { type Analytics, analyticsSchema } from '../store/analytics.ts';
import { schemaState } from '../store/migrate/schema-version.ts';
import { type Monitoring, monitoringSchema } from '../store/monitoring.ts';
import type { Rpc } from '../store/rpc.ts';
import { type Stats, statsSchema } from '../store/stats.ts';
import { whyUnticked } from './unticked.ts';

/** Reads the dashboard's figures, at most one second old. Throws as `getServices()` does, and a `StoreError`. */
export async function readStats(): Promise<Stats> {
  const { rpc, env, stats } = await getServices();
  return stats.get(() => computeStats(rpc, env));
}

/** Reads the queues' daily figures of the last `days` days, 1 to 90. Throws as `getServices()` does, and a `StoreError`. */
export async function readAnalytics(days = 14): Promise<Analytics> {
  const { rpc } = await getServices();
  return analyticsSchema.parse(await rpc('read_analytics', { p_days: days }));
}

/** Reads the dashboard's figures of monitors. Throws a `StoreError`. */
export async function readMonitoring(rpc: Rpc): Promise<Monitoring> {
  return monitoringSchema.parse(await rpc('read_monitoring', {}));
}

async function computeStats(rpc: Rpc, env: ServerEnv): Promise<Stats> {
  const stats = statsSchema.parse(await rpc('read_stats', { p_configured: configuredProviders(env) }));
  const behind =
    schemaState(stats.schema ?? null) === 'behind'
      ? 'the database lacks migrations that this code needs: run `npm run migrate`'
      : null;
  const queues = stats.queues.map((queue) => {
    const known = findQueue(queue.name, registeredApp().queues);
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

/** Whether the queue ticked in the last five minutes, here or in a worker, which has settings of its own. */
function hasTicked({ last_tick }: Stats['queues'][number], now: string): boolean {
  return last_tick !== null && Date.parse(now) - Date.parse(last_tick.started_at) < 300_000;
}
