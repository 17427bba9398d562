import { apiJsonRoute, apiRoute } from '@/lib/http/api-route';
import { refused } from '@/lib/http/refused';
import { json } from '@/lib/http/respond';
import { editSequence, readSequence } from '@/lib/queues/sequences/sequences';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** The sequence with its funnel. 404. */
export const GET = apiRoute<{ id: string }>(
  async ({ container: { rpc }, params }) => {
    const read = await readSequence(rpc, params.id);
    return 'sequence' in read ? json(200, read.sequence) : refused(read);
  },
  { dashboard: true },
);

/**
 * Changes what is named of `{ name, time_zone, steps }`: 200 with the sequence. New steps are for those who are enrolled from now on. 404;
 * 422.
 */
export const PATCH = apiJsonRoute<{ id: string }>(async ({ container: { rpc }, params, body }) => {
  const edited = await editSequence(rpc, params.id, body);
  return 'sequence' in edited ? json(200, edited.sequence) : refused(edited, 422, 'nothing was changed');
});
