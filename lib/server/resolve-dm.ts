import { z } from 'zod';
import type { Rpc } from '../store/rpc';
import { dmStates } from './dm-states';

const asked = z.strictObject({
  /** What became of it, or is to become of it. `pending` sends it again. */
  decision: z.enum(['sent', 'pending', 'failed', 'cancelled']),
  /** The attempt that it is about, as the row's `attempts` says; nothing is decided of a later one. */
  attempt: z.int().min(0).optional(),
  /** Kept beside the decision. */
  note: z
    .string()
    .max(1_000)
    .refine(
      (value) => !value.includes('\0') && value.isWellFormed(),
      'contains a character that cannot be kept',
    )
    .optional(),
});

const answer = z.object({ status: z.string() });

export type Resolved =
  | { row: { id: string; status: string } }
  | { errors: { field: string; message: string }[] }
  /** Why not, for people. */
  | { missing: string }
  | { conflict: string };

/**
 * A person's decision on a message of which nobody could tell whether it went out. `by` says who, for the history. Throws a
 * `StoreError`.
 */
export async function resolveDm(
  rpc: Rpc,
  id: string,
  by: 'api' | 'dashboard',
  body: unknown,
): Promise<Resolved> {
  const parsed = asked.safeParse(body);
  if (!parsed.success) {
    return {
      errors: parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), message: issue.message })),
    };
  }
  try {
    const { status } = answer.parse(
      await rpc('resolve_row', {
        p_queue: 'dm_queue',
        p_id: id,
        p_decision: dmStates[parsed.data.decision],
        p_by: by,
        p_note: parsed.data.note ?? null,
        p_attempt: parsed.data.attempt ?? null,
      }),
    );
    return { row: { id, status } };
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === 'PT404') return { missing: message };
    if (code === 'PT409') return { conflict: message };
    throw error;
  }
}
