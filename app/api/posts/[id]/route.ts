import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { cancelPost, editPost, readPost } from '@/lib/queues/posts/edit-post';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** The post. 404. */
export const GET = apiRoute<{ id: string }>(async ({ container: { rpc }, params }) => {
  const read = await readPost(rpc, params.id);
  return 'post' in read ? json(200, read.post) : refused(read);
});

/**
 * Changes what is named of `{ body, media_urls, scheduled_for, expires_at, priority }`, while the post is `scheduled`: 200 with the post.
 * 409 with what it is after that; 404; 422.
 */
export const PATCH = apiJsonRoute<{ id: string }>(async ({ container: { rpc, env }, params, body }) => {
  const edited = await editPost(rpc, env.mediaAllowPrivate, params.id, body);
  return 'post' in edited ? json(200, edited.post) : refused(edited, 422, 'nothing was changed');
});

/** Cancels the post while it is `scheduled`: 200 with `{ id, status }`. 409 with what it is after that; 404. */
export const DELETE = apiRoute<{ id: string }>(async ({ container: { rpc }, params, by }) => {
  const cancelled = await cancelPost(rpc, params.id, by === 'api-key' ? 'api' : 'dashboard');
  return 'row' in cancelled ? json(200, cancelled.row) : refused(cancelled);
});
