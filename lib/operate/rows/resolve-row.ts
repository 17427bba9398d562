import { z } from 'zod';
import { toHttpError } from '../../http/http-error.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import { storableText } from '../../http/input/storable-text.ts';
import type { Rpc } from '../../store/rpc.ts';

const bodySchema = z.strictObject({
  /** The row's new status, in the queue's own word or as a state. The status of `pending` runs the row again. */
  decision: storableText(100),
  /** The attempt that the decision is about, from the row's `attempts`. A later attempt is not decided on. */
  attempt: z.int32().min(0).optional(),
  /** Stored with the decision. */
  note: storableText(1_000).optional(),
});

const responseSchema = z.object({ status: z.string() });

export type ResolvedRow = { id: string; status: string };

/** Applies a person's decision to an unknown row, or cancels a pending one. The history and the audit record `by`. Throws an `HttpError` or a `StoreError`. */
export async function resolveRow(
  rpc: Rpc,
  queue: string,
  id: string,
  by: string,
  body: unknown,
): Promise<ResolvedRow> {
  const { decision, note = null, attempt = null } = parseInput(bodySchema, body);
  try {
    const resolved = await rpc('resolve_row', {
      p_queue: queue,
      p_id: id,
      p_decision: decision,
      p_by: by,
      p_note: note,
      p_attempt: attempt,
    });
    return { id, ...responseSchema.parse(resolved) };
  } catch (error) {
    throw toHttpError(error, 'decision');
  }
}
