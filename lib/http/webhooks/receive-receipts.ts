import { z } from 'zod';
import type { Receipt } from '../../providers/receipt';
import { isError } from '../../services/is-error';
import type { Rpc } from '../../store/rpc';

const counted = z.object({ received: z.number(), new: z.number() });

/** A reply takes up to a millisecond of the database's 4 s where that is not slow. The whole call has 15 s, halves included. */
const mostAtOnce = 100;
/** A statement that its timeout has ended: nothing of it was written. */
const timedOut = '57014';

/**
 * Writes what a provider told by webhook, a hundred in a call, and half as many after one that took too long. What was written before, or
 * twice, is left as it is: a list of which one call failed may be brought again. Throws a `StoreError`.
 */
export async function receiveReceipts(
  rpc: Rpc,
  provider: string,
  receipts: Receipt[],
): Promise<{ received: number; new: number }> {
  const total = { received: 0, new: 0 };
  let most = mostAtOnce;
  for (let first = 0; first < receipts.length; ) {
    const p_receipts = receipts.slice(first, first + most);
    try {
      const part = counted.parse(await rpc('receive_receipts', { p_provider: provider, p_receipts }));
      total.received += part.received;
      total.new += part.new;
      first += p_receipts.length;
    } catch (error) {
      if (!isError(error, 'StoreError') || error.code !== timedOut || p_receipts.length === 1) throw error;
      most = Math.ceil(p_receipts.length / 2);
    }
  }
  return total;
}
