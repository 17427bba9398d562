import { z } from 'zod';
import type { Rpc } from '../store/rpc';
import { fieldRefusal, type RowRefusal, rowRefusal } from './row-refusal';
import { storableText } from './storable-text';

const asked = z.strictObject({
  provider: storableText(200),
  /** Its id, as in `/api/accounts`; null for the provider as a whole. */
  account: z.uuid().nullable().default(null),
});

/** Ends the pause of an account, or of a provider, that was refused: somebody has mended it. Throws a `StoreError`. */
export async function endRefusal(
  rpc: Rpc,
  body: unknown,
): Promise<{ ended: z.infer<typeof asked> } | RowRefusal> {
  const parsed = asked.safeParse(body);
  if (!parsed.success) return fieldRefusal(parsed.error);
  const { provider, account } = parsed.data;
  try {
    await rpc('end_refusal', { p_provider: provider, p_account_id: account });
    return { ended: { provider, account } };
  } catch (error) {
    return rowRefusal(error, 'provider');
  }
}
