import { z } from 'zod';
import { ValidationError } from '../http/http-error';
import { atMost } from '../http/input/at-most';
import { instant } from '../http/input/instant';
import { parseInput } from '../http/input/parse-input';
import { nonEmptyText } from '../http/input/storable-text';
import { weeklyHours } from '../http/input/weekly-hours';
import { type Page, type PageQuery, readPage } from '../http/page';
import type { Rpc } from '../store/rpc';

const text = nonEmptyText(200);

/** Messages a day, in the account's own time zone. 30 if never given. */
const dailyLimit = z.int().min(0).max(100_000);
const seconds = z.int().min(0).max(86_400);
/** What an account has, and each of its queues may have otherwise. */
const pace = {
  /** Messages in any 60 minutes. */
  hourly_limit: z.int().min(1).max(1_000).nullable().optional(),
  /** From one message to the next, at the least. */
  gap_seconds: seconds.nullable().optional(),
  hours: weeklyHours.nullable().optional(),
};

const newAccount = z.strictObject({
  provider: z.enum(['unipile', 'whatsapp_cloud']),
  /** Unipile: its account id. WhatsApp Cloud: the phone number id. */
  provider_account_id: text,
  name: text,
  /** An IANA name, such as `Europe/Berlin`. UTC if never given. */
  time_zone: text.refine(isTimeZone, 'is no time zone').optional(),
  daily_limit: dailyLimit.optional(),
  ...pace,
  /** So much is added to the gap at most, by chance. */
  gap_jitter_seconds: seconds
    .nullable()
    .transform((jitter) => jitter ?? 0)
    .optional(),
  /** The day in the account's own time zone on which the daily limit begins to grow to its full height. */
  ramp_started_on: z.iso
    .date('is no day such as "2026-12-01"')
    .refine(isKeptDate, 'is beyond what the database keeps')
    .nullable()
    .optional(),
  ramp_days: z.int().min(1).max(365).optional(),
  /** Share of the daily limit on the first day. */
  ramp_from_percent: z.int().min(1).max(100).optional(),
  paused_until: instant.nullable().optional(),
  paused_reason: text.nullable().optional(),
  /** What is otherwise in a queue, by its name; null there is what the account has. */
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
  ).optional(),
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
  paused_until: z.string().nullable(),
  paused_reason: z.string().nullable(),
  /** Settings that are otherwise in a queue, by its name; only those. */
  queues: z.record(
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
  ),
});

export type StoredAccount = z.infer<typeof accountSchema>;

/** Adds an account, or changes the one that the provider knows by the same id; what is not named stays. Throws a `ValidationError` or a `StoreError`. */
export async function saveAccount(rpc: Rpc, body: unknown): Promise<{ account: StoredAccount }> {
  const p_account = parseInput(newAccount, body);
  try {
    return { account: accountSchema.parse(await rpc('save_account', { p_account })) };
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === 'PT404') throw new ValidationError([{ field: 'queues', message }]);
    if (code !== '23514') throw error;
    throw new ValidationError([{ field: 'time_zone', message: 'is no time zone that the database knows' }]);
  }
}

/** A page of the accounts, by name. Throws a `StoreError`. */
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

/** Postgres knows no year 0. */
function isKeptDate(day: string): boolean {
  return !day.startsWith('0000');
}
