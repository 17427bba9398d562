/** What a provider told us of a message by webhook: how ours fared, or that there is one in a chat. */
export interface Receipt {
  kind: 'status' | 'message';
  /** Of a `message`: `sent` by the account itself (by us, or from another device), or `received`. */
  status: 'sent' | 'delivered' | 'read' | 'failed' | 'received';
  message_id: string;
  /** What we gave the message on its way, echoed. */
  reference?: string;
  /** As in `punctual.accounts`. */
  provider_account_id?: string;
  chat_id?: string;
  /** The other side, as the provider names it. */
  recipient?: string;
  /** WhatsApp's business-scoped id of the other side, be it that `recipient` is the number. */
  user_id?: string;
  /** The text, of a `message`. */
  body?: string;
  /** Of a `failed`. */
  error?: string;
  /** When the provider says it was; ISO 8601, UTC. */
  said_at?: string;
}

/** What a provider told us by webhook of an account's connection. */
export interface ConnectionNotice {
  /** As in `punctual.accounts`. */
  provider_account_id: string;
  connected: boolean;
  /** Why it is not, for a person. */
  said?: string;
  /** When the provider says it was; ISO 8601, UTC. */
  said_at?: string;
  /** Codes of refusals that are over now that it is connected. */
  mends?: string[];
}

export interface WebhookReading {
  receipts: Receipt[];
  connections?: ConnectionNotice[];
  /** Events that are none of ours, or not in the shape agreed. */
  ignored: number;
  /** Why the webhook must be refused as a whole. */
  refusal?: string;
}

/** The longest id that is taken, in characters: two of them fit into one entry of an index. The providers' have less than 200. */
export const MAX_ID_LENGTH = 255;

/** The instant as ISO 8601; undefined where it is none, or so far off that it means nothing. */
export function saidAt(epochMs: number): string | undefined {
  const sane = epochMs >= Date.UTC(2000, 0) && epochMs < Date.UTC(2200, 0);
  return sane ? new Date(epochMs).toISOString() : undefined;
}
