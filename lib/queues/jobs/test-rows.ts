import { z } from 'zod';
import { listAudit } from '../../operate/audit.ts';
import type { Rpc } from '../../store/rpc.ts';

/** Test rows that are remembered. */
export const maxTestRows = 10;

/** Creates a job that does nothing, and returns its id. The audit records `by`. Throws a `StoreError`. */
export async function sendTestRow(rpc: Rpc, by: string): Promise<string> {
  return z.string().parse(await rpc('send_test_row', { p_by: by }));
}

/** Lists the ids of the test rows among the latest acts on jobs, the latest first. Throws a `StoreError`. */
export async function listTestRows(rpc: Rpc): Promise<string[]> {
  const { items } = await listAudit(rpc, { queue: 'jobs', limit: maxTestRows });
  return items.flatMap(({ act, target }) => (act === 'send_test_row' && target !== null ? [target] : []));
}
