import { z } from 'zod';
import { bodyLimits } from '../providers/body-limits';
import type { Rpc } from '../store/rpc';
import { instant } from './instant';

/** Postgres keeps neither; cutting them out would send something else than was asked. */
const text = z
  .string()
  .min(1, 'is empty')
  .refine((value) => !value.includes('\0'), 'contains a NUL character')
  .refine((value) => value.isWellFormed(), 'contains half of a character (a lone surrogate)');

const newDm = z
  .strictObject({
    account_id: z.guid(),
    channel: z.enum(['linkedin', 'whatsapp']),
    chat_id: text.max(500).optional(),
    recipient: text.max(500).optional(),
    body: text,
    /** Now, if not given. */
    send_at: instant.optional(),
    /** 0 goes before 1 (the default), 1 before 2, 2 before 3. */
    priority: z.int().min(0).max(3).optional(),
    /** Not sent after this. */
    expires_at: instant.optional(),
    idempotency_key: text.max(200).optional(),
  })
  .superRefine((dm, context) => {
    const most = bodyLimits[dm.channel];
    if (dm.body.length > most) {
      context.addIssue({
        code: 'custom',
        path: ['body'],
        message: `is ${dm.body.length} characters; ${dm.channel} takes ${most}`,
      });
    }
    if (dm.chat_id === undefined && dm.recipient === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['recipient'],
        message: 'give a chat_id, or a recipient to open a chat with',
      });
    }
  });

export interface FieldError {
  /** Which of the messages, from 0; null where the whole is not as it should be. */
  index: number | null;
  field: string;
  message: string;
}

export interface EnqueuedDm {
  id: string;
  status: string;
  /** False: the idempotency key was there already, and this is the row that bears it. */
  created: boolean;
}

const maxDms = 1_000;

const answer = z.union([
  z.object({ rows: z.array(z.object({ id: z.string(), status: z.string(), created: z.boolean() })) }),
  z.object({ errors: z.array(z.object({ index: z.number(), field: z.string(), message: z.string() })) }),
]);

/** Checks one message or up to 1,000, and takes in all of them or none. Throws a `StoreError`. */
export async function enqueueDms(
  rpc: Rpc,
  body: unknown,
): Promise<{ rows: EnqueuedDm[] } | { errors: FieldError[] }> {
  const asked: unknown[] = Array.isArray(body) ? body : [body];
  if (asked.length === 0 || asked.length > maxDms) {
    return {
      errors: [
        {
          index: null,
          field: '',
          message: `send one message, or an array of 1 to ${maxDms}; this has ${asked.length}`,
        },
      ],
    };
  }
  const rows: object[] = [];
  const errors: FieldError[] = [];
  for (const [index, dm] of asked.entries()) {
    const parsed = newDm.safeParse(dm);
    if (parsed.success) rows.push(parsed.data);
    else
      errors.push(
        ...parsed.error.issues.map((issue) => ({ index, field: fieldOf(issue), message: issue.message })),
      );
  }
  if (errors.length > 0) return { errors };
  try {
    return answer.parse(await rpc('enqueue_dms', { p_rows: rows }));
  } catch (error) {
    if ((error as { code?: string }).code !== 'PT409') throw error;
    // Two calls at once: the other was first, and its message is another one.
    return {
      errors: [
        {
          index: null,
          field: 'idempotency_key',
          message: 'another call has just used one of the keys for another message',
        },
      ],
    };
  }
}

function fieldOf(issue: z.core.$ZodIssue): string {
  return issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue.path.join('.');
}
