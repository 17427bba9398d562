import { type Stats, statsSchema } from '../store/stats';
import { configuredProviders } from './configured-providers';
import { container } from './container';

/** The dashboard's figures, a second old at most. Throws what `container()` throws, and a `StoreError`. */
export async function readStats(): Promise<Stats> {
  const { rpc, env, stats } = await container();
  return stats.get(async () =>
    statsSchema.parse(await rpc('read_stats', { p_configured: configuredProviders(env) })),
  );
}
