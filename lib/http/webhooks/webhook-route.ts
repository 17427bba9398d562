import type { WebhookReading } from '../../providers/receipt';
import { container } from '../../services/container';
import { storable } from '../../store/storable';
import { failed } from '../failure';
import { readBody } from '../read-body';
import { json, problem } from '../respond';
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
  return async (request: Request): Promise<Response> => {
    const secret = readSecret();
    if (!secret) return notConfigured(variable);
    const taken = await readBody(request, maxBytes);
    if ('refused' in taken) return taken.refused;
    if (!isGenuine(request, taken.bytes, secret)) return problem(401, 'unauthorised', proof);
    const body = parse(taken.bytes);
    if (body === undefined) return problem(400, 'invalid_json', 'the body is not JSON in UTF-8');
    const { receipts, connections = [], ignored, refusal } = read(body);
    if (refusal !== undefined) return problem(422, 'invalid', refusal);
    if (receipts.length + connections.length === 0) return json(200, { received: 0, new: 0, ignored });
    try {
      const { rpc } = await container();
      const total = await receiveReceipts(rpc, provider, receipts);
      for (const p_told of connections) {
        total.received += 1;
        if (await rpc('note_connection', { p_provider: provider, p_told })) total.new += 1;
      }
      return json(200, { ...total, ignored });
    } catch (error) {
      return failed(error);
    }
  };
}

export function notConfigured(variable: string): Response {
  return problem(503, 'not_configured', `${variable} is not set: nothing is taken in until it is`, {
    variables: [variable],
  });
}

/** Undefined where it is no JSON; else with strings that the database can keep. */
function parse(bytes: Buffer): unknown {
  try {
    return storable(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    return undefined;
  }
}
