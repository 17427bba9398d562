import { z } from 'zod';
import { apiRoute } from '@/lib/http/api-route';
import { answerPage, pageQuery } from '@/lib/http/page';
import { listReplies } from '@/lib/queues/sequences/enrolments';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ replies, next }` that are nobody's as far as is known, the latest first. 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRoute(
  async ({ container: { rpc }, query }) => answerPage('replies', await listReplies(rpc, query)),
  { query: z.strictObject(pageQuery) },
);
