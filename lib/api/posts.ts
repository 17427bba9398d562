import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { bulkRoute } from '../http/bulk-route.ts';
import { listRowsRoute } from '../operate/rows/rows-route.ts';
import { cancelPost, editPost, readPost } from '../queues/posts/edit-post.ts';
import { enqueuePosts } from '../queues/posts/new-posts.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'GET /posts': listRowsRoute('posts'),
  /** Schedules posts: see `bulkRoute`. */
  'POST /posts': bulkRoute('nothing was created', ({ services: { rpc, env }, body }) =>
    enqueuePosts(rpc, env.mediaAllowPrivate, body),
  ),
  /** Returns the post. 404. */
  'GET /posts/:id': apiRoute<{ id: string }>(({ services: { rpc }, params }) => readPost(rpc, params.id)),
  /**
   * Changes the given fields of `{ body, media_urls, scheduled_for, expires_at, priority }` while the post is `scheduled`. 200 with the post; 404; 409
   * with its status if it is no longer scheduled; 422.
   */
  'PATCH /posts/:id': apiJsonRoute<{ id: string }>(
    ({ services: { rpc, env }, params, body, by }) =>
      editPost(rpc, env.mediaAllowPrivate, params.id, body, by),
    { whenInvalid: 'nothing was changed' },
  ),
  /** Cancels the post while it is `scheduled`. 200 with `{ id, status }`; 404; 409 with its status if it is no longer scheduled. */
  'DELETE /posts/:id': apiRoute<{ id: string }>(({ services: { rpc }, params, by }) =>
    cancelPost(rpc, params.id, by),
  ),
} satisfies Endpoints;
