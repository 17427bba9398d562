import { z } from 'zod';
import { isError } from '../../http/failure';
import { fieldErrors } from '../../http/field-error';
import { instant } from '../../http/input/instant';
import { rowId } from '../../http/input/row-path';
import type { RowRefusal } from '../../http/row-refusal';
import { type AddressGuard, addressGuard } from '../../net/public-address';
import type { Rpc } from '../../store/rpc';
import { postBody, postMedia, postPriority } from './post-fields';

const postSchema = z.object({
  id: z.string(),
  account_id: z.string(),
  status: z.string(),
  body: z.string(),
  media_urls: z.array(z.string()),
  scheduled_for: z.string(),
  published_at: z.string().nullable(),
  provider_post_id: z.string().nullable(),
  permalink: z.string().nullable(),
  priority: z.number(),
  expires_at: z.string().nullable(),
  attempts: z.number(),
  last_error: z.string().nullable(),
  created_at: z.string(),
  finished_at: z.string().nullable(),
});

export type StoredPost = z.infer<typeof postSchema>;

const changes = (guard: AddressGuard) =>
  z.strictObject({
    body: postBody.optional(),
    media_urls: postMedia(guard).optional(),
    scheduled_for: instant.optional(),
    /** Null: it is published however late. */
    expires_at: instant.nullable().optional(),
    priority: postPriority.optional(),
  });

/** Throws a `StoreError`. */
export function readPost(rpc: Rpc, id: string): Promise<{ post: StoredPost } | RowRefusal> {
  return call(id, async (p_id) => ({ post: postSchema.parse(await rpc('read_post', { p_id })) }));
}

/**
 * Changes a post that has not begun to be published; what is accepted is what goes out. `allowPrivate`: see `addressGuard`. Throws a
 * `StoreError`.
 */
export async function editPost(
  rpc: Rpc,
  allowPrivate: string[],
  id: string,
  body: unknown,
): Promise<{ post: StoredPost } | RowRefusal> {
  const parsed = changes(addressGuard(allowPrivate, { variable: 'MEDIA_ALLOW_PRIVATE' })).safeParse(body);
  if (!parsed.success) {
    return { errors: fieldErrors(parsed.error) };
  }
  if (Object.keys(parsed.data).length === 0) {
    const message = 'name what is to change: body, media_urls, scheduled_for, expires_at, priority';
    return { errors: [{ field: '', message }] };
  }
  return call(id, async (p_id) => ({
    post: postSchema.parse(await rpc('update_post', { p_id, p_changes: parsed.data })),
  }));
}

const cancelled = z.object({ id: z.string(), status: z.string() });

/** Cancels a post that has not begun to be published. `by` says who, for the history. Throws a `StoreError`. */
export function cancelPost(
  rpc: Rpc,
  id: string,
  by: string,
): Promise<{ row: z.infer<typeof cancelled> } | RowRefusal> {
  return call(id, async (p_id) => ({ row: cancelled.parse(await rpc('cancel_post', { p_id, p_by: by })) }));
}

/** What somebody can do who comes too late, by what the post is. */
const tooLate: Record<string, string> = {
  publishing: 'it is going out at this moment, and cannot be changed any more',
  published: 'it is out, and cannot be changed here any more',
  failed: 'schedule a new one',
  unknown:
    'nobody knows yet whether it is out; it is being found out, or decide with POST /api/queues/posts/rows/<id>/resolve',
  cancelled: 'schedule a new one',
};

async function call<T>(id: string, ask: (id: string) => Promise<T>): Promise<T | RowRefusal> {
  const parsed = rowId.safeParse(id);
  if (!parsed.success) return { missing: 'there is no such post: ids are whole numbers' };
  try {
    return await ask(parsed.data);
  } catch (error) {
    if (!isError(error, 'StoreError')) throw error;
    if (error.code === 'PT404') return { missing: error.message };
    if (error.code !== 'PT409') throw error;
    const word = /(\w+)$/.exec(error.message)?.[1] ?? '';
    return { conflict: word in tooLate ? `the post is ${word}: ${tooLate[word]}` : error.message };
  }
}
