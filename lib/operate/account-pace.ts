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
  used: z.number().describe("Of the account's current day: claims, the limit, and how many are left."),
  limit: z.number(),
  left: z.number(),
  opens_at: z
    .string()
    .nullable()
    .describe('When it may send; null if not before somebody changes something.'),
  waits: z
    .array(z.object({ kind: z.string(), until: z.string().nullable(), text: z.string() }))
    .describe('Why it may not send now.'),
  due: z.number().describe('Due rows, counted to 1,000.'),
  next_due_at: z.string().nullable(),
  next_send_at: z
    .string()
    .nullable()
    .describe('When its first row can go; null if it has none, or if the account may not send.'),
});

export const accountWithPace = accountSchema.extend({
  refused: z.string().nullable().describe("The provider's text, if it refuses the account."),
  pace: z.array(paceSchema),
});

export type AccountWithPace = z.infer<typeof accountWithPace>;

/** Reads an account with its pace in each queue. Throws an `HttpError` or a `StoreError`. */
export function readAccount(rpc: Rpc, id: string): Promise<AccountWithPace> {
  return findAccount(id, async (p_id) => accountWithPace.parse(await rpc('read_account', { p_id })));
}

export const accountPauseInput = z.strictObject({
  reason: nonBlankText(200).describe('Shown on the dashboard.'),
  until: instant.optional().describe('When the pause ends by itself; without it, when somebody resumes.'),
});

/** Pauses an account. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function pauseAccount(rpc: Rpc, id: string, body: unknown, by: string): Promise<AccountWithPace> {
  const { reason, until = null } = parseInput(accountPauseInput, body);
  const call = { p_until: until, p_reason: reason, p_by: by };
  return findAccount(id, async (p_id) =>
    accountWithPace.parse(await rpc('pause_account', { p_id, ...call })),
  );
}

/** The body of a call that takes no fields. */
export const noInput = z.strictObject({});

/** Ends an account's pause. The audit records `by`. Throws an `HttpError` or a `StoreError`. */
export function resumeAccount(rpc: Rpc, id: string, body: unknown, by: string): Promise<AccountWithPace> {
  parseInput(noInput, body);
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
