/** A webhook's report of a message: the status of one of ours, or a message in a chat. */
export interface Receipt {
  kind: 'status' | 'message';
  /** A `message` is `sent` by the account itself (by us or from another device) or `received`. */
  status: 'sent' | 'delivered' | 'read' | 'failed' | 'received';
  message_id: string;
  /** The reference that we sent with the message, echoed. */
  reference?: string;
  /** The column of `punctual.accounts`. */
  provider_account_id?: string;
  chat_id?: string;
  /** The other person's id or number, in the provider's form. */
  recipient?: string;
  /** WhatsApp's business-scoped id of the other person, even if `recipient` is the number. */
  user_id?: string;
  /** The text of a `message`. */
  body?: string;
  /** The error of a `failed` status. */
  error?: string;
  /** The provider's time of the event; ISO 8601, UTC. */
  said_at?: string;
}

/** A webhook's report of an account's connection. */
export interface ConnectionNotice {
  /** The column of `punctual.accounts`. */
  provider_account_id: string;
  connected: boolean;
  /** Why it is not connected, in words for a person. */
  said?: string;
  /** The provider's time of the event; ISO 8601, UTC. */
  said_at?: string;
  /** Codes of the refusals that the new connection ends. */
  ends?: string[];
}

export interface WebhookReading {
  receipts: Receipt[];
  connections?: ConnectionNotice[];
  /** The number of events that do not concern us or have another form. */
  ignored: number;
  /** Why the whole call is refused. */
  error?: string;
}

/** The longest accepted id, in characters, so that two fit into one index entry. The providers' ids have fewer than 200. */
export const MAX_ID_LENGTH = 255;

/** Formats an instant as ISO 8601; undefined if it is not a number or not between the years 2000 and 2199. */
export function toInstant(epochMs: number): string | undefined {
  const isPlausible = epochMs >= Date.UTC(2000, 0) && epochMs < Date.UTC(2200, 0);
  return isPlausible ? new Date(epochMs).toISOString() : undefined;
}
