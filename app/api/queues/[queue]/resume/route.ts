import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { resumeQueue } from '@/lib/operate/queue-settings.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Ends the pause of the queue or of one of its partitions: `{ partition? }`. 200 as for a change of settings; 404; 422. */
export const POST = apiJsonRoute<{ queue: string }>(
  ({ services: { rpc }, params, body, by }) => resumeQueue(rpc, params.queue, body, by),
  { optional: true, whenInvalid: 'nothing was resumed' },
);
