import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { bulkRoute } from '../http/bulk-route.ts';
import { resolvedRow } from '../operate/rows/resolve-row.ts';
import { listRowsRoute } from '../operate/rows/rows-route.ts';
import {
  cancelPost,
  editPost,
  mediaGuard,
  postChanges,
  postSchema,
  readPost,
} from '../queues/posts/edit-post.ts';
import { insertPosts, postInput } from '../queues/posts/new-posts.ts';
import type { Endpoints } from './endpoints.ts';

/** Which addresses are allowed is a setting, and no part of a document. */
const guard = mediaGuard([]);

export const endpoints = {
  'GET /posts': listRowsRoute('posts'),
  'POST /posts': bulkRoute({
    summary: 'Schedules posts.',
    example: {
      account_id: '…',
      body: 'We are hiring',
      media_urls: ['https://your.site/team.png'],
      scheduled_for: '2026-12-01T09:00:00Z',
    },
    row: postInput(guard),
    nothing: 'nothing was created',
    create: ({ services: { rpc, env }, body }) => insertPosts(rpc, mediaGuard(env.mediaAllowPrivate), body),
  }),
  'GET /posts/:id': apiRoute({
    summary: 'Returns the post.',
    response: postSchema,
    errors: [404],
    handle: ({ services: { rpc }, params }) => readPost(rpc, params.id),
  }),
  'PATCH /posts/:id': apiJsonRoute({
    summary: 'Changes the given fields while the post is `scheduled`; else 409.',
    body: postChanges(guard),
    response: postSchema,
    errors: [404, 409],
    whenInvalid: 'nothing was changed',
    handle: ({ services: { rpc, env }, params, body, by }) =>
      editPost(rpc, env.mediaAllowPrivate, params.id, body, by),
  }),
  'DELETE /posts/:id': apiRoute({
    summary: 'Cancels the post while it is `scheduled`; else 409.',
    response: resolvedRow,
    errors: [404, 409],
    handle: ({ services: { rpc }, params, by }) => cancelPost(rpc, params.id, by),
  }),
} satisfies Endpoints;
