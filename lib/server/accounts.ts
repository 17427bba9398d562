import { z } from 'zod';
import type { Rpc } from '../store/rpc';

const text = z
  .string()
  .min(1, 'is empty')
  .max(200)
  .refine(
    (value) => !value.includes('\0') && value.isWellFormed(),
    'contains a character that cannot be kept',
  );

const newAccount = z.strictObject({
  provider: z.enum(['unipile', 'whatsapp_cloud']),
  /** Unipile: its account id. WhatsApp Cloud: the phone number id. */
  provider_account_id: text,
  name: text,
  /** An IANA name, such as `Europe/Berlin`. UTC if not given. */
  time_zone: text.refine(isTimeZone, 'is no time zone').optional(),
  /** Messages a day, in the account's own time zone. 30 if not given. */
  daily_limit: z.int().min(0).max(100_000).optional(),
});

export const accountSchema = z.object({
  id: z.string(),
  provider: z.string(),
  provider_account_id: z.string(),
  name: z.string(),
  time_zone: z.string(),
  daily_limit: z.number(),
  paused_until: z.string().nullable(),
  paused_reason: z.string().nullable(),
});

export type StoredAccount = z.infer<typeof accountSchema>;

/** Adds an account, or changes the one that the provider knows by the same id. Throws a `StoreError`. */
export async function saveAccount(
  rpc: Rpc,
  body: unknown,
): Promise<{ account: StoredAccount } | { errors: { field: string; message: string }[] }> {
  const parsed = newAccount.safeParse(body);
  if (!parsed.success) {
    return {
      errors: parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), message: issue.message })),
    };
  }
  try {
    return { account: accountSchema.parse(await rpc('save_account', { p_account: parsed.data })) };
  } catch (error) {
    if ((error as { code?: string }).code !== '23514') throw error;
    return { errors: [{ field: 'time_zone', message: 'is no time zone that the database knows' }] };
  }
}

/** All accounts by name, 1,000 at most. Throws a `StoreError`. */
export async function listAccounts(rpc: Rpc): Promise<StoredAccount[]> {
  return z.array(accountSchema).parse(await rpc('list_accounts', {}));
}

function isTimeZone(name: string): boolean {
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: name }));
  } catch {
    return false;
  }
}
