import type { Delivery, Send } from '../delivery-log.ts';
import type { Limit } from '../faults.ts';
import type { SandboxResponse } from '../response.ts';

/** The responses of one provider to a message. */
export interface Shape {
  accepted(delivery: Delivery): SandboxResponse;
  rateLimited(seconds: number): SandboxResponse;
  /** A limit of the provider refuses the message. It is named as in its directive. */
  limited(limit: Limit): SandboxResponse;
  /** Every message of the account is refused. */
  restricted(): SandboxResponse;
  /** The account must be connected again. */
  disconnected(): SandboxResponse;
  failed(): SandboxResponse;
  tooLong(): SandboxResponse;
}

/** A message that waits for its turn, refused or not; or an immediate response. */
export type ParsedRequest =
  | { send: Send; shape: Shape; refusal: SandboxResponse | null }
  | { response: SandboxResponse };

export interface Form {
  fields: Map<string, string>;
  files: { field: string; contentType: string; bytes: number }[];
}

/** The part of a request that a shape reads. */
export interface ProviderRequest {
  method: string;
  url: URL;
  header(name: string): string | undefined;
  body: Buffer;
  /** The body, if it is parsed already. */
  form?: Form;
}
