import { type Monitoring, monitoringSchema } from '../../store/monitoring';
import type { Rpc } from '../../store/rpc';

/** The dashboard's view of monitors. Throws a `StoreError`. */
export async function readMonitoring(rpc: Rpc): Promise<Monitoring> {
  return monitoringSchema.parse(await rpc('read_monitoring', {}));
}
