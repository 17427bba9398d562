import { z } from 'zod';
import { NotFoundError, toHttpError } from '../http/http-error';
import { parseInput } from '../http/input/parse-input';
import { storableText } from '../http/input/storable-text';
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

/** Ends the pause of an account, or of a provider, that was refused: somebody has mended it. Throws an `HttpError` or a `StoreError`. */
export async function endRefusal(rpc: Rpc, body: unknown): Promise<z.infer<typeof asked>> {
  const { provider, account } = parseInput(asked, body);
  try {
    await rpc('end_refusal', { p_provider: provider, p_account_id: account });
    return { provider, account };
  } catch (error) {
    const refusal = toHttpError(error, 'provider');
    throw refusal instanceof NotFoundError ? new NotFoundError(notRefused(provider, account)) : refusal;
  }
}

function notRefused(provider: string, account: string | null): string {
  const what =
    account === null
      ? `${provider} does not refuse everything: send the "account" too`
      : `${provider} does not refuse the account ${account}: send another, or leave it out where ${provider} refuses everything`;
  return `${what}. GET /api/stats lists what is refused, under "refused" of each queue.`;
}
