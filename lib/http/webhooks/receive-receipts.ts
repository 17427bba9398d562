import { z } from 'zod';
import type { Receipt } from '../../providers/receipt.ts';
import { isError } from '../../services/is-error.ts';
import type { Rpc } from '../../store/rpc.ts';

const countsSchema = z.object({ received: z.number(), new: z.number() });

/** Receipts of one call. The database has 4 s for it, and a reply takes up to 1 ms unless the database is slow. The route has 15 s for all calls. */
const maxReceipts = 100;
/** The SQLSTATE of a statement that was cancelled by its timeout. It wrote nothing. */
const timeoutCode = '57014';

/**
 * Writes a provider's receipts, 100 a call, and half as many after a call that took too long. Receipts that are stored already change nothing, so
 * after an error the whole list can be sent again. Throws a `StoreError`.
 */
export async function receiveReceipts(
  rpc: Rpc,
  provider: string,
  receipts: Receipt[],
): Promise<{ received: number; new: number }> {
  const total = { received: 0, new: 0 };
  let limit = maxReceipts;
  for (let first = 0; first < receipts.length; ) {
    const p_receipts = receipts.slice(first, first + limit);
    try {
      const counts = countsSchema.parse(await rpc('receive_receipts', { p_provider: provider, p_receipts }));
      total.received += counts.received;
      total.new += counts.new;
      first += p_receipts.length;
    } catch (error) {
      if (!isError(error, 'StoreError') || error.code !== timeoutCode || p_receipts.length === 1) throw error;
      limit = Math.ceil(p_receipts.length / 2);
    }
  }
  return total;
}
