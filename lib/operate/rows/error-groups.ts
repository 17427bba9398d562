import { z } from 'zod';
import { toHttpError } from '../../http/http-error.ts';
import { parseInput } from '../../http/input/parse-input.ts';
import { storableText } from '../../http/input/storable-text.ts';
import { type Page, type PageQuery, readPage } from '../../http/page.ts';
import type { Rpc } from '../../store/rpc.ts';
import {
  type ErrorGroup,
  type ErrorGroupWithSamples,
  errorGroupSchema,
  errorGroupWithSamplesSchema,
} from '../../store/story/error-group.ts';

/** Reads a page of a queue's error groups, the latest seen first. Throws an `HttpError` or a `StoreError`. */
export async function listErrorGroups(rpc: Rpc, queue: string, page: PageQuery): Promise<Page<ErrorGroup>> {
  try {
    return await readPage(rpc, 'list_error_groups', errorGroupSchema, page, { p_queue: queue });
  } catch (error) {
    throw toHttpError(error, 'queue');
  }
}

/** Reads an error group with samples of its rows. Throws an `HttpError` or a `StoreError`. */
export async function readErrorGroup(rpc: Rpc, queue: string, id: string): Promise<ErrorGroupWithSamples> {
  try {
    return errorGroupWithSamplesSchema.parse(await rpc('read_error_group', { p_queue: queue, p_id: id }));
  } catch (error) {
    throw toHttpError(error, 'id');
  }
}

export const markInput = z.strictObject({
  known: z.boolean().describe('False makes the group new again.'),
  note: storableText(1_000).optional().describe('Stored with the mark.'),
});

export const markedErrorGroup = errorGroupSchema.pick({
  id: true,
  known_at: true,
  known_by: true,
  known_note: true,
});

export type MarkedErrorGroup = z.infer<typeof markedErrorGroup>;

/** Marks an error group as known, or as new again. Throws an `HttpError` or a `StoreError`. */
export async function markErrorGroup(
  rpc: Rpc,
  queue: string,
  id: string,
  by: string,
  body: unknown,
): Promise<MarkedErrorGroup> {
  const { known, note = null } = parseInput(markInput, body);
  try {
    return markedErrorGroup.parse(
      await rpc('mark_error_group', { p_queue: queue, p_id: id, p_known: known, p_by: by, p_note: note }),
    );
  } catch (error) {
    throw toHttpError(error, 'known');
  }
}
