import { z } from 'zod';
import { ValidationError } from '../http/http-error.ts';
import { atMost } from '../http/input/at-most.ts';
import { instant } from '../http/input/instant.ts';
import { parseInput } from '../http/input/parse-input.ts';
import { nonEmptyText } from '../http/input/storable-text.ts';
import { weeklyHours } from '../http/input/weekly-hours.ts';
import { type Page, type PageQuery, readPage } from '../http/page.ts';
import type { Rpc } from '../store/rpc.ts';

const text = nonEmptyText(200);

const dailyLimit = z
  .int()
  .min(0)
  .max(100_000)
  .describe('Messages a day, in the account’s own time zone; default 30.');
const seconds = z.int().min(0).max(86_400);
/** Settings of an account that each of its queues may override. */
const pace = {
  hourly_limit: z.int().min(1).max(1_000).nullable().optional().describe('Messages in any 60 minutes.'),
  gap_seconds: seconds.nullable().optional().describe('The least time from one message to the next.'),
  hours: weeklyHours
    .nullable()
    .optional()
    .describe('When it may send: `{ "mon": ["09:00-17:00"], … }`; null for always.'),
};

export const accountInput = z.strictObject({
  provider: z.enum(['unipile', 'whatsapp_cloud']).describe('Through which the account sends.'),
  provider_account_id: text.describe("Unipile's account id, or WhatsApp Cloud's phone number id."),
  name: text.describe('For people.'),
  time_zone: text
    .refine(isTimeZone, 'must be a time zone, for example Europe/Berlin')
    .optional()
    .describe('An IANA name, for example `Europe/Berlin`. UTC by default.'),
  daily_limit: dailyLimit.optional(),
  ...pace,
  gap_jitter_seconds: seconds
    .nullable()
    .transform((jitter) => jitter ?? 0)
    .optional()
    .describe('The most random seconds that are added to the gap.'),
  ramp_started_on: z.iso
    .date('must be a day, for example "2026-12-01"')
    .refine(isStorableDate, 'is outside the range that the database can store')
    .nullable()
    .optional()
    .describe("The day, in the account's own time zone, from which the daily limit grows to its full value."),
  ramp_days: z.int().min(1).max(365).optional().describe('How long it grows.'),
  ramp_from_percent: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe('The share of the daily limit on the first day.'),
  paused_until: instant.nullable().optional().describe('When its pause ends by itself; null ends it.'),
  paused_reason: text.nullable().optional().describe('Why it is paused.'),
  queues: atMost(
    100,
    z.record(
      z.string(),
      z.strictObject({
        daily_limit: dailyLimit.nullable().optional(),
        ...pace,
        gap_jitter_seconds: seconds.nullable().optional(),
      }),
    ),
  )
    .optional()
    .describe("Settings that a queue has of its own, by its name; null restores the account's setting."),
});

const storedHours = z.record(z.string(), z.array(z.string()));

export const accountSchema = z.object({
  id: z.string(),
  provider: z.string(),
  provider_account_id: z.string(),
  name: z.string(),
  time_zone: z.string(),
  daily_limit: z.number(),
  hourly_limit: z.number().nullable(),
  gap_seconds: z.number().nullable(),
  gap_jitter_seconds: z.number(),
  hours: storedHours.nullable(),
  ramp_started_on: z.string().nullable(),
  ramp_days: z.number(),
  ramp_from_percent: z.number(),
  paused_until: z.string().nullable().describe('`infinity` if the pause lasts until somebody resumes.'),
  paused_reason: z.string().nullable(),
  queues: z
    .record(
      z.string(),
      z
        .object({
          daily_limit: z.number(),
          hourly_limit: z.number(),
          gap_seconds: z.number(),
          gap_jitter_seconds: z.number(),
          hours: storedHours,
        })
        .partial(),
    )
    .describe('Settings that a queue has of its own, by its name.'),
});

export const savedAccount = z.object({ account: accountSchema });

type StoredAccount = z.infer<typeof accountSchema>;

/** Adds an account, or changes the given fields of the account with the same provider id. The audit records `by`. Throws a
 * `ValidationError` or a `StoreError`. */
export async function saveAccount(
  rpc: Rpc,
  body: unknown,
  by: string,
): Promise<z.infer<typeof savedAccount>> {
  const p_account = parseInput(accountInput, body);
  try {
    return { account: accountSchema.parse(await rpc('save_account', { p_account, p_by: by })) };
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === 'PT404') throw new ValidationError([{ field: 'queues', message }]);
    if (code !== '23514') throw error;
    throw new ValidationError([
      { field: 'time_zone', message: 'is not a time zone that the database knows' },
    ]);
  }
}

/** Reads a page of accounts, by name. Throws a `StoreError`. */
export function listAccounts(rpc: Rpc, page: PageQuery): Promise<Page<StoredAccount>> {
  return readPage(rpc, 'list_accounts', accountSchema, page);
}

function isTimeZone(name: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: name }));
  } catch {
    return false;
  }
}

/** Postgres has no year 0. */
function isStorableDate(day: string): boolean {
  return !day.startsWith('0000');
}
