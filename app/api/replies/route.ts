import { apiRoute } from '@/lib/server/api-route';
import { listReplies } from '@/lib/server/enrolments';
import { refused } from '@/lib/server/refused';
import { json } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ replies }` that are nobody's as far as is known, the latest first: see `listReplies`. 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRoute(async ({ container: { rpc }, url }) => {
  const listed = await listReplies(rpc, url.searchParams);
  return 'replies' in listed ? json(200, listed) : refused(listed, 400, 'ask as in ?limit=50');
});
