import { bulkRoute } from '@/lib/http/bulk-route.ts';
import { listRowsRoute } from '@/lib/operate/rows/rows-route.ts';
import { enqueuePosts } from '@/lib/queues/posts/new-posts.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const GET = listRowsRoute('posts');

/** Schedules posts: see `bulkRoute`. */
export const POST = bulkRoute('nothing was created', ({ services: { rpc, env }, body }) =>
  enqueuePosts(rpc, env.mediaAllowPrivate, body),
);
