import { container } from '../services/container';
import { type Analytics, analyticsSchema } from '../store/analytics';

/** The figures of the last `days` days, 1 to 90. Throws what `container()` throws, and a `StoreError`. */
export async function readAnalytics(days = 14): Promise<Analytics> {
  const { rpc } = await container();
  return analyticsSchema.parse(await rpc('read_analytics', { p_days: days }));
}
