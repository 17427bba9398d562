import type { SandboxResponse } from '../response.ts';

/** Returns an error in the shape of Unipile's API v1. */
export const unipileError = (
  status: number,
  type: string,
  title: string,
  headers?: Record<string, string>,
): SandboxResponse => ({
  status,
  headers,
  body: { status, type: `errors/${type}`, title, detail: 'From the sandbox.' },
});

/** Returns a refusal for people and accounts whose name begins with `gone-` or `acc_gone-`; null for others. */
export const goneParty = (party: string): SandboxResponse | null =>
  /^(acc_)?gone-/.test(party)
    ? unipileError(422, 'invalid_recipient', 'The recipient cannot be reached')
    : null;
