import { z } from 'zod';
import { NotFoundError, toHttpError } from '../http/http-error.ts';
import { parseInput } from '../http/input/parse-input.ts';
import { storableText } from '../http/input/storable-text.ts';
import type { Rpc } from '../store/rpc.ts';

export const refusalInput = z.strictObject({
  provider: z
    .string('name the provider, for example "unipile" or "whatsapp_cloud"')
    .pipe(storableText(200))
    .describe('`unipile` or `whatsapp_cloud`.'),
  account: z
    .uuid(
      'send the account’s "id" from GET /api/accounts, or leave it out if the provider refuses everything',
    )
    .nullable()
    .default(null)
    .describe("The account's id, as in `/api/accounts`; null for the whole provider."),
});

export const endedRefusal = z.object({ provider: z.string(), account: z.string().nullable() });

/** Ends the pause of a refused account or provider, because its cause is corrected. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export async function endRefusal(rpc: Rpc, body: unknown, by: string): Promise<z.infer<typeof endedRefusal>> {
  const { provider, account } = parseInput(refusalInput, body);
  try {
    await rpc('end_refusal', { p_provider: provider, p_account_id: account, p_by: by });
    return { provider, account };
  } catch (error) {
    const mapped = toHttpError(error, 'provider');
    throw mapped instanceof NotFoundError ? new NotFoundError(notRefusedMessage(provider, account)) : mapped;
  }
}

function notRefusedMessage(provider: string, account: string | null): string {
  const message =
    account === null
      ? `${provider} does not refuse everything: send the "account" too`
      : `${provider} does not refuse the account ${account}: send another one, or none if ${provider} refuses everything`;
  return `${message}. GET /api/stats lists refused accounts and providers under "refused" of each queue.`;
}
