import type { Answer } from '../answer';
import type { Delivery, Send } from '../delivery-log';
import type { Limit } from '../faults';

/** How one provider words its answers to a message. */
export interface Shape {
  accepted(delivery: Delivery): Answer;
  rateLimited(seconds: number): Answer;
  /** Refuses by a limit of the provider's own, named as in its directive. */
  limited(limit: Limit): Answer;
  /** Refuses the account, whatever it sends. */
  restricted(): Answer;
  /** The account has to be connected again. */
  disconnected(): Answer;
  failed(): Answer;
  tooLong(): Answer;
}

/** What a request came to: a message that waits for its turn, refused or not, or an answer at once. */
export type Reading = { send: Send; shape: Shape; refusal: Answer | null } | { answer: Answer };

export interface Form {
  fields: Map<string, string>;
  files: { field: string; contentType: string; bytes: number }[];
}

/** The part of a request that a shape reads. */
export interface Asked {
  method: string;
  url: URL;
  header(name: string): string | undefined;
  body: Buffer;
  /** What was read of the body already. */
  form?: Form;
}
