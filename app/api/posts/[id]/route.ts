import { apiJsonRoute, apiRoute } from '@/lib/http/api-route.ts';
import { cancelPost, editPost, readPost } from '@/lib/queues/posts/edit-post.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns the post. 404. */
export const GET = apiRoute<{ id: string }>(({ services: { rpc }, params }) => readPost(rpc, params.id));

/**
 * Changes the given fields of `{ body, media_urls, scheduled_for, expires_at, priority }` while the post is `scheduled`. 200 with the post; 404; 409
 * with its status if it is no longer scheduled; 422.
 */
export const PATCH = apiJsonRoute<{ id: string }>(
  ({ services: { rpc, env }, params, body, by }) => editPost(rpc, env.mediaAllowPrivate, params.id, body, by),
  { whenInvalid: 'nothing was changed' },
);

/** Cancels the post while it is `scheduled`. 200 with `{ id, status }`; 404; 409 with its status if it is no longer scheduled. */
export const DELETE = apiRoute<{ id: string }>(({ services: { rpc }, params, by }) =>
  cancelPost(rpc, params.id, by),
);
