import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { listRoute } from '@/lib/http/page.ts';
import { json } from '@/lib/http/respond.ts';
import { createSequence, listSequences } from '@/lib/queues/sequences/sequences.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Lists sequences with their funnels, the newest first: `{ sequences, next }`. 400. */
export const GET = listRoute({ name: 'sequences', list: listSequences, dashboard: true });

/** Creates a sequence. 201 with the sequence; 422 with `{ errors: [{ field, message }] }`. */
export const POST = apiJsonRoute(
  async ({ services: { rpc }, body, by }) => json(201, await createSequence(rpc, body, by)),
  { whenInvalid: 'nothing was created; correct these fields and send it again' },
);
