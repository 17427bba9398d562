import { z } from 'zod';
import { toHttpError } from '../../http/http-error.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import { storableText } from '../../http/input/storable-text.ts';
import type { Rpc } from '../../store/rpc.ts';

export const resolveInput = z.strictObject({
  decision: storableText(100).describe(
    "The row's new status, in the queue's own word or as a state. The status of `pending` runs the row again.",
  ),
  attempt: z
    .int32()
    .min(0)
    .optional()
    .describe(
      "The attempt that the decision is about, from the row's `attempts`. A later attempt is not decided on.",
    ),
  note: storableText(1_000).optional().describe('Stored with the decision.'),
});

const responseSchema = z.object({ status: z.string() });

export const resolvedRow = responseSchema.extend({ id: z.string() });

export type ResolvedRow = z.infer<typeof resolvedRow>;

/** Applies a person's decision to an unknown row, or cancels a pending one. The history and the audit record `by`. Throws an `HttpError` or a `StoreError`. */
export async function resolveRow(
  rpc: Rpc,
  queue: string,
  id: string,
  by: string,
  body: unknown,
): Promise<ResolvedRow> {
  const { decision, note = null, attempt = null } = parseInput(resolveInput, body);
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
