import { z } from 'zod';
import { queueName } from '../http/input/row-id.ts';
import { nonEmptyText } from '../http/input/storable-text.ts';
import { type Page, pageQuery, readPage } from '../http/page.ts';
import type { Rpc } from '../store/rpc.ts';

/** `queue`: only acts on one queue. `by`: only acts of one person or key. `target`: only acts on one account, row or other target, by its id. */
export const auditQuery = z.strictObject({
  queue: queueName.optional(),
  by: nonEmptyText(200).optional(),
  target: nonEmptyText(200).optional(),
  ...pageQuery,
});

/** An act of a person. `details` depends on the act; a change has `{ before, after }` with the fields that differ. */
export const actSchema = z.object({
  id: z.string(),
  at: z.string(),
  by: z.string(),
  /** For example `resolve_row`, `pause_queue` or `change_settings`. */
  act: z.string(),
  queue: z.string().nullable(),
  /** The id or name of what was changed. */
  target: z.string().nullable(),
  details: z.record(z.string(), z.unknown()).nullable(),
  note: z.string().nullable(),
});

export type Act = z.infer<typeof actSchema>;

/** Reads a page of acts, the latest first. Throws a `StoreError`. */
export function listAudit(
  rpc: Rpc,
  { queue, by, target, ...page }: z.output<typeof auditQuery>,
): Promise<Page<Act>> {
  return readPage(rpc, 'list_audit', actSchema, page, {
    p_queue: queue ?? null,
    p_by: by ?? null,
    p_target: target ?? null,
  });
}
