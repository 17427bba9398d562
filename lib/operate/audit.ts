import { z } from 'zod';
import { queueName } from '../http/input/row-id.ts';
import { nonEmptyText } from '../http/input/storable-text.ts';
import { type Page, pageQuery, readPage } from '../http/page.ts';
import type { Rpc } from '../store/rpc.ts';

export const auditQuery = z.strictObject({
  queue: queueName.optional().describe('Only acts on the queue.'),
  by: nonEmptyText(200).optional().describe('Only acts of the person or key.'),
  target: nonEmptyText(200).optional().describe('Only acts on the account, row or other target, by its id.'),
  ...pageQuery,
});

/** An act of a person. `details` depends on the act; a change has `{ before, after }` with the fields that differ. */
export const actSchema = z.object({
  id: z.string(),
  at: z.string(),
  by: z.string(),
  act: z.string().describe('For example `resolve_row`, `pause_queue` or `change_settings`.'),
  queue: z.string().nullable(),
  target: z.string().nullable().describe('The id or name of what was changed.'),
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
