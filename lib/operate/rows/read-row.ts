import { z } from 'zod';
import { NotFoundError, toHttpError } from '../../http/http-error.ts';
import { configuredProviders } from '../../services/env.ts';
import type { Services } from '../../services/services.ts';
import type { Rpc } from '../../store/rpc.ts';
import { type FoundRow, foundRowSchema, type RowStory, rowStorySchema } from '../../store/story/row-story.ts';

const foundRows = z.array(foundRowSchema);

/** Reads a row with all that happened to it. Throws a `NotFoundError` that names other queues with such an id, or a `StoreError`. */
export async function readRow(
  { rpc, env }: Pick<Services, 'rpc' | 'env'>,
  queue: string,
  id: string,
): Promise<RowStory> {
  try {
    const response = await rpc('read_row', {
      p_queue: queue,
      p_id: id,
      p_configured: configuredProviders(env),
    });
    const story = rowStorySchema.nullable().parse(response);
    if (story) return story;
  } catch (error) {
    throw toHttpError(error, 'id');
  }
  const others = foundRows.parse(await rpc('find_row', { p_text: id, p_by: ['id'] }));
  const names = others.map((row) => row.queue);
  const hint = names.length > 0 ? `. Another queue has a row with this id: ${names.join(', ')}` : '';
  throw new NotFoundError(`there is no row ${id} in ${queue}, or retention has deleted it${hint}`);
}

/** Finds rows of any queue by an id, a provider's id, an idempotency key or an address. Throws a `StoreError`. */
export async function findRows(rpc: Rpc, text: string): Promise<FoundRow[]> {
  return foundRows.parse(await rpc('find_row', { p_text: text }));
}
