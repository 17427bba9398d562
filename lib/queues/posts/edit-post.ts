import { z } from 'zod';
import { ConflictError } from '../../http/http-error.ts';
import { instant } from '../../http/input/instant.ts';
import { parseChanges } from '../../http/input/parse-input.ts';
import { priority } from '../../http/input/priority.ts';
import { findById } from '../../http/input/row-id.ts';
import { addressGuard } from '../../net/public-address.ts';
import { type ResolvedRow, resolvedRow } from '../../operate/rows/resolve-row.ts';
import type { Rpc } from '../../store/rpc.ts';
import { postBody, postMedia, type UrlGuard } from './post-fields.ts';

export const postSchema = z.object({
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

type StoredPost = z.infer<typeof postSchema>;

export const postChanges = (guard: UrlGuard) =>
  z.strictObject({
    body: postBody.optional(),
    media_urls: postMedia(guard).optional(),
    scheduled_for: instant.optional().describe('When it is due.'),
    expires_at: instant.nullable().optional().describe('Null publishes the post however late.'),
    priority: priority.optional(),
  });

/** Allows public addresses, and the exceptions of `MEDIA_ALLOW_PRIVATE`. */
export const mediaGuard = (allowPrivate: string[]) =>
  addressGuard(allowPrivate, { variable: 'MEDIA_ALLOW_PRIVATE' });

/** Reads a post. Throws an `HttpError` or a `StoreError`. */
export function readPost(rpc: Rpc, id: string): Promise<StoredPost> {
  return findPost(id, async (p_id) => postSchema.parse(await rpc('read_post', { p_id })));
}

/**
 * Changes a scheduled post. An accepted change is always part of the published post. The audit records `by`. `allowPrivate`: see `addressGuard`. Throws an `HttpError` or a
 * `StoreError`.
 */
export async function editPost(
  rpc: Rpc,
  allowPrivate: string[],
  id: string,
  body: unknown,
  by: string,
): Promise<StoredPost> {
  const p_changes = parseChanges(postChanges(mediaGuard(allowPrivate)), body);
  return findPost(id, async (p_id) =>
    postSchema.parse(await rpc('update_post', { p_id, p_changes, p_by: by })),
  );
}

/** Cancels a scheduled post. The history and the audit record `by`. Throws an `HttpError` or a `StoreError`. */
export function cancelPost(rpc: Rpc, id: string, by: string): Promise<ResolvedRow> {
  return findPost(id, async (p_id) => resolvedRow.parse(await rpc('cancel_post', { p_id, p_by: by })));
}

/** What to do about a post that is no longer scheduled, by its status. */
const tooLate: Record<string, string> = {
  publishing: 'it is being sent to the provider and can no longer be changed',
  published: 'it is public and can no longer be changed here',
  failed: 'schedule a new one',
  unknown:
    'it may be public; wait for the next check, or decide with POST /api/queues/posts/rows/<id>/resolve',
  cancelled: 'schedule a new one',
};

async function findPost<T>(id: string, query: (id: string) => Promise<T>): Promise<T> {
  try {
    return await findById('post', id, query);
  } catch (error) {
    const word = error instanceof ConflictError ? /(\w+)$/.exec(error.message)?.[1] : undefined;
    if (word === undefined || !(word in tooLate)) throw error;
    throw new ConflictError(`the post is ${word}: ${tooLate[word]}`);
  }
}
