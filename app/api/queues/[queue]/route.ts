import { apiJsonRoute, apiRoute } from '@/lib/http/api-route.ts';
import { changeSettings, readQueueSettings, settingsQuery } from '@/lib/operate/queue-settings.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns the settings and pauses of the queue and its partitions, and the last ten acts on it. 404. */
export const GET = apiRoute<{ queue: string }>(
  ({ services: { rpc }, params }) => readQueueSettings(rpc, params.queue),
  { dashboard: true },
);

/**
 * Changes the given settings of the queue, or of `?partition=`, with an optional `note`. 200 with
 * `{ queue, partition, settings, paused_at, paused_until, paused_reason }`; 404; 422 with `{ errors: [{ field, message }] }`.
 */
export const PATCH = apiJsonRoute<{ queue: string }, typeof settingsQuery>(
  ({ services: { rpc }, params, query, body, by }) =>
    changeSettings(rpc, params.queue, query.partition, body, by),
  { query: settingsQuery, whenInvalid: 'nothing was changed' },
);
