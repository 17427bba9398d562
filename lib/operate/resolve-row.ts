import { z } from 'zod';
import { toHttpError } from '../http/http-error';
import { parseInput } from '../http/input/parse-input';
import { storableText } from '../http/input/storable-text';
import type { Rpc } from '../store/rpc';

const asked = z.strictObject({
  /** What became of it, or is to become of it: the queue's own word, or the state. That of `pending` does it again. */
  decision: storableText(100),
  /** The attempt that it is about, as the row's `attempts` says; nothing is decided of a later one. */
  attempt: z.int32().min(0).optional(),
  /** Kept beside the decision. */
  note: storableText(1_000).optional(),
});

const answer = z.object({ status: z.string() });

export type ResolvedRow = { id: string; status: string };

/**
 * A person's decision on a row of which nobody could tell whether it was done, or to cancel one that has not begun. `by` says who, for the
 * history. Throws an `HttpError` or a `StoreError`.
 */
export async function resolveRow(
  rpc: Rpc,
  queue: string,
  id: string,
  by: 'api' | 'dashboard',
  body: unknown,
): Promise<ResolvedRow> {
  const { decision, note = null, attempt = null } = parseInput(asked, body);
  try {
    const resolved = await rpc('resolve_row', {
      p_queue: queue,
      p_id: id,
      p_decision: decision,
      p_by: by,
      p_note: note,
      p_attempt: attempt,
    });
    return { id, ...answer.parse(resolved) };
  } catch (error) {
    throw toHttpError(error, 'decision');
  }
}
