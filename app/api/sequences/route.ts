import { z } from 'zod';
import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { answerPage, pageQuery } from '@/lib/http/page';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { createSequence, listSequences } from '@/lib/queues/sequences/sequences';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ sequences, next }`, the newest first, each with its funnel. 400. */
export const GET = apiRoute(
  async ({ container: { rpc }, query }) => answerPage('sequences', await listSequences(rpc, query)),
  { dashboard: true, query: z.strictObject(pageQuery) },
);

/** Creates a sequence: 201 with it; 422 with `{ errors: [{ field, message }] }`. */
export const POST = apiJsonRoute(async ({ container: { rpc }, body }) => {
  const created = await createSequence(rpc, body);
  return 'sequence' in created
    ? json(201, created.sequence)
    : refused(created, 422, 'nothing was created; mend these and send it again');
});
