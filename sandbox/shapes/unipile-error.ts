import type { Answer } from '../answer';

/** An error in the shape of Unipile's API v1. */
export const unipileError = (
  status: number,
  type: string,
  title: string,
  headers?: Record<string, string>,
): Answer => ({
  status,
  headers,
  body: { status, type: `errors/${type}`, title, detail: 'Said by the sandbox.' },
});

/** Whoever's name begins like this cannot be reached, and nothing can be done in their name. */
export const goneParty = (party: string): Answer | null =>
  /^(acc_)?gone-/.test(party)
    ? unipileError(422, 'invalid_recipient', 'The recipient cannot be reached')
    : null;
