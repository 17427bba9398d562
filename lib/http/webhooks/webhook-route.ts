import type { WebhookReading } from '../../providers/receipt';
import { getServices } from '../../services/services';
import { storable } from '../../store/storable';
import { parseJson, readBody } from '../body';
import { respond } from '../error-response';
import { HttpError } from '../http-error';
import { receiveReceipts } from './receive-receipts';

/** Meta sends up to 3 MB, and again for a week what was refused. */
const maxBytes = 3 * 1024 * 1024;

interface Webhook {
  /** As in `punctual.accounts`. */
  provider: 'whatsapp_cloud' | 'unipile';
  /** The setting that the caller proves to know, and how it is read. */
  variable: string;
  secret: () => string | undefined;
  /** Says what the proof is, for the answer to who has none. */
  proof: string;
  isGenuine: (request: Request, body: Buffer, secret: string) => boolean;
  read: (body: unknown) => WebhookReading;
}

/**
 * The handler of a provider's webhook. It writes receipts, which ticks read, and pauses and resumes accounts whose connection was lost
 * and is back. What was told before changes nothing, so a provider may send what it likes as often as it likes.
 *
 * 200 with `{ received, new, ignored }`; 401 without proof of who calls, 400 for what is no JSON, 413 above 3 MB, 422 for too many
 * entries; 503 with what to set, or when the database is away, so that the provider sends it again.
 */
export function webhookRoute({ provider, variable, secret: readSecret, proof, isGenuine, read }: Webhook) {
  return (request: Request): Promise<Response> =>
    respond(async () => {
      const secret = readSecret();
      if (!secret) throw notConfigured(variable);
      const bytes = await readBody(request, maxBytes);
      if (!isGenuine(request, bytes, secret)) throw new HttpError(401, 'unauthorised', proof);
      const { receipts, connections = [], ignored, refusal } = read(parseJson(bytes, storable));
      if (refusal !== undefined) throw new HttpError(422, 'invalid', refusal);
      if (receipts.length + connections.length === 0) return { received: 0, new: 0, ignored };
      const { rpc } = await getServices();
      const total = await receiveReceipts(rpc, provider, receipts);
      for (const p_told of connections) {
        total.received += 1;
        if (await rpc('note_connection', { p_provider: provider, p_told })) total.new += 1;
      }
      return { ...total, ignored };
    });
}

export function notConfigured(variable: string): HttpError {
  return new HttpError(503, 'not_configured', `${variable} is not set: nothing is taken in until it is`, {
    variables: [variable],
  });
}
