import { z } from 'zod';
import type { Receipt } from '../providers/receipt';
import type { Rpc } from '../store/rpc';

const counted = z.object({ received: z.number(), new: z.number() });

/** A reply takes up to a millisecond of the database's 4 s. */
const mostAtOnce = 500;

/**
 * Writes what a provider told by webhook, some hundreds in a call. What was written before, or twice, is left as it is: a list of which one
 * call failed may be brought again. Throws a `StoreError`.
 */
export async function receiveReceipts(
  rpc: Rpc,
  provider: string,
  receipts: Receipt[],
): Promise<{ received: number; new: number }> {
  const total = { received: 0, new: 0 };
  for (let first = 0; first < receipts.length; first += mostAtOnce) {
    const p_receipts = receipts.slice(first, first + mostAtOnce);
    const part = counted.parse(await rpc('receive_receipts', { p_provider: provider, p_receipts }));
    total.received += part.received;
    total.new += part.new;
  }
  return total;
}
