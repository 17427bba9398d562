import { type Stats, statsSchema } from '../store/stats';
import { container } from './container';

/** The dashboard's figures. Throws what `container()` throws, and a `StoreError`. */
export async function readStats(): Promise<Stats> {
  const { rpc, env } = await container();
  const configured = [env.unipile && 'unipile', env.whatsappCloud && 'whatsapp_cloud'].filter(Boolean);
  return statsSchema.parse(await rpc('read_stats', { p_configured: configured }));
}
