import { z } from 'zod';
import { storableText } from '../http/input/storable-text';
import { fieldRefusal, type RowRefusal, rowRefusal } from '../http/row-refusal';
import type { Rpc } from '../store/rpc';

const asked = z.strictObject({
  provider: z.string('name the provider, such as "unipile" or "whatsapp_cloud"').pipe(storableText(200)),
  /** Its id, as in `/api/accounts`; null for the provider as a whole. */
  account: z
    .uuid(
      'send the account’s "id" from GET /api/accounts, or leave it out where the provider refuses everything',
    )
    .nullable()
    .default(null),
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
    const refusal = rowRefusal(error, 'provider');
    return 'missing' in refusal ? { missing: notRefused(provider, account) } : refusal;
  }
}

function notRefused(provider: string, account: string | null): string {
  const what =
    account === null
      ? `${provider} does not refuse everything: send the "account" too`
      : `${provider} does not refuse the account ${account}: send another, or leave it out where ${provider} refuses everything`;
  return `${what}. GET /api/stats lists what is refused, under "refused" of each queue.`;
}
