import type { WebhookReading } from '../../providers/receipt.ts';
import { getServices } from '../../services/services.ts';
import { storable } from '../../store/storable.ts';
import { parseJson, readBody } from '../body.ts';
import { respond } from '../error-response.ts';
import { HttpError } from '../http-error.ts';
import { receiveReceipts } from './receive-receipts.ts';

/** Meta sends up to 3 MB, and repeats a refused call for a week. */
const maxBytes = 3 * 1024 * 1024;

interface Webhook {
  /** As in `punctual.accounts`. */
  provider: 'whatsapp_cloud' | 'unipile';
  /** The setting with the secret that the caller must know. */
  variable: string;
  secret: () => string | undefined;
  /** The 401 message for a call that is not genuine. */
  deniedMessage: string;
  isGenuine: (request: Request, body: Buffer, secret: string) => boolean;
  read: (body: unknown) => WebhookReading;
}

/**
 * Returns the handler of a provider's webhook. It writes receipts, which ticks read. It pauses an account when its connection is lost, and resumes it
 * when the connection is back. A repeated call changes nothing, so a provider may send it any number of times.
 *
 * It responds 200 with `{ received, new, ignored }`, 401 if the call is not genuine, 400 if the body is not JSON, 413 above 3 MB, 422 for too many
 * entries, and 503 if the secret is not set or the database is down. The provider repeats a call after 503.
 */
export function webhookRoute({
  provider,
  variable,
  secret: readSecret,
  deniedMessage,
  isGenuine,
  read,
}: Webhook) {
  return (request: Request): Promise<Response> =>
    respond(async () => {
      const secret = readSecret();
      if (!secret) throw notConfigured(variable);
      const bytes = await readBody(request, maxBytes);
      if (!isGenuine(request, bytes, secret)) throw new HttpError(401, 'unauthorised', deniedMessage);
      const { receipts, connections = [], ignored, error } = read(parseJson(bytes, storable));
      if (error !== undefined) throw new HttpError(422, 'invalid', error);
      if (receipts.length + connections.length === 0) return { received: 0, new: 0, ignored };
      const { rpc } = await getServices();
      const total = await receiveReceipts(rpc, provider, receipts);
      for (const p_event of connections) {
        total.received += 1;
        if (await rpc('note_connection', { p_provider: provider, p_event })) total.new += 1;
      }
      return { ...total, ignored };
    });
}

export function notConfigured(variable: string): HttpError {
  return new HttpError(
    503,
    'not_configured',
    `${variable} is not set, so no webhook is accepted: set it and redeploy`,
    {
      variables: [variable],
    },
  );
}
