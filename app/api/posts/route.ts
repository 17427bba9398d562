import { apiJsonRoute } from '@/lib/http/api-route';
import { json, problem } from '@/lib/http/respond';
import { listRowsRoute } from '@/lib/operate/rows-route';
import { enqueuePosts } from '@/lib/queues/posts/new-posts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const GET = listRowsRoute('posts');

/**
 * Takes in one post or up to 1,000, all or none. 201 with `{ rows: [{ id, status, created }] }`, 200 where every key was there already; 422
 * with `{ errors: [{ index, field, message }] }`.
 */
export const POST = apiJsonRoute(async ({ container: { rpc, env }, body }) => {
  const taken = await enqueuePosts(rpc, env.mediaAllowPrivate, body);
  if ('errors' in taken) {
    return problem(422, 'invalid', 'nothing was taken in; mend these and send all of it again', {
      errors: taken.errors,
    });
  }
  return json(taken.rows.some((row) => row.created) ? 201 : 200, taken);
});
