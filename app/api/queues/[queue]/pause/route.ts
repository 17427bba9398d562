import { apiJsonRoute } from '@/lib/http/api-route.ts';
import { pauseQueue } from '@/lib/operate/queue-settings.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Pauses the queue or one of its partitions: `{ reason, until?, partition? }`. 200 as for a change of settings; 404; 422. */
export const POST = apiJsonRoute<{ queue: string }>(
  ({ services: { rpc }, params, body, by }) => pauseQueue(rpc, params.queue, body, by),
  { whenInvalid: 'nothing was paused' },
);
