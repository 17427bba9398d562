import { z } from 'zod';
import { NotFoundError, toHttpError } from '../http/http-error.ts';
import { instant } from '../http/input/instant.ts';
import { parseInput } from '../http/input/parse-input.ts';
import { nonBlankText } from '../http/input/storable-text.ts';
import type { Rpc } from '../store/rpc.ts';
import { accountSchema } from './accounts.ts';

/** What the account may send in one queue. */
const paceSchema = z.object({
  queue: z.string(),
  /** Of the account's current day: claims, the limit, and how many are left. */
  used: z.number(),
  limit: z.number(),
  left: z.number(),
  /** When it may send; null if not before somebody changes something. */
  opens_at: z.string().nullable(),
  /** Why it may not send now. */
  waits: z.array(z.object({ kind: z.string(), until: z.string().nullable(), text: z.string() })),
  /** Due rows, counted to 1,000. */
  due: z.number(),
  next_due_at: z.string().nullable(),
  /** When its first row can go; null if it has none, or if the account may not send. */
  next_send_at: z.string().nullable(),
});

const accountWithPace = accountSchema.extend({
  /** The provider's text, if it refuses the account. */
  refused: z.string().nullable(),
  pace: z.array(paceSchema),
});

export type AccountWithPace = z.infer<typeof accountWithPace>;

/** Reads an account with its pace in each queue. Throws an `HttpError` or a `StoreError`. */
export function readAccount(rpc: Rpc, id: string): Promise<AccountWithPace> {
  return findAccount(id, async (p_id) => accountWithPace.parse(await rpc('read_account', { p_id })));
}

const pauseInput = z.strictObject({
  reason: nonBlankText(200),
  /** When the pause ends by itself; without it, when somebody resumes. */
  until: instant.optional(),
});

/** Pauses an account. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function pauseAccount(rpc: Rpc, id: string, body: unknown, by: string): Promise<AccountWithPace> {
  const { reason, until = null } = parseInput(pauseInput, body);
  const call = { p_until: until, p_reason: reason, p_by: by };
  return findAccount(id, async (p_id) =>
    accountWithPace.parse(await rpc('pause_account', { p_id, ...call })),
  );
}

/** Ends an account's pause. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function resumeAccount(rpc: Rpc, id: string, body: unknown, by: string): Promise<AccountWithPace> {
  parseInput(z.strictObject({}), body);
  return findAccount(id, async (p_id) =>
    accountWithPace.parse(await rpc('resume_account', { p_id, p_by: by })),
  );
}

async function findAccount<T>(id: string, query: (id: string) => Promise<T>): Promise<T> {
  const parsed = z.guid().safeParse(id);
  if (!parsed.success) throw new NotFoundError('there is no such account: GET /api/accounts lists their ids');
  try {
    return await query(parsed.data);
  } catch (error) {
    throw toHttpError(error, 'until');
  }
}
