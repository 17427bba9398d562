import { runQueueRoute } from '../cron/run-queue-route.ts';
import { triggerRoute } from '../cron/trigger-route.ts';
import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import {
  changeSettings,
  listQueues,
  pauseQueue,
  readQueueSettings,
  resumeQueue,
  settingsQuery,
} from '../operate/queue-settings.ts';
import { startActionRoute } from '../operate/rows/actions-route.ts';
import { explainRowRoute, listRowsRoute, resolveRowRoute } from '../operate/rows/rows-route.ts';
import {
  findRowsRoute,
  listErrorGroupsRoute,
  markErrorGroupRoute,
  readErrorGroupRoute,
  readRowRoute,
} from '../operate/rows/story-routes.ts';
import { listTicksRoute, readTickRoute } from '../operate/ticks.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'GET /find': findRowsRoute,
  /** Lists the queues with their settings and pauses: `{ queues }`. */
  'GET /queues': apiRoute(async ({ services: { rpc } }) => ({ queues: await listQueues(rpc) }), {
    dashboard: true,
  }),
  /** Returns the settings and pauses of the queue and its partitions, and the last ten acts on it. 404. */
  'GET /queues/:queue': apiRoute<{ queue: string }>(
    ({ services: { rpc }, params }) => readQueueSettings(rpc, params.queue),
    { dashboard: true },
  ),
  /**
   * Changes the given settings of the queue, or of `?partition=`, with an optional `note`. 200 with
   * `{ queue, partition, settings, paused_at, paused_until, paused_reason }`; 404; 422 with `{ errors: [{ field, message }] }`.
   */
  'PATCH /queues/:queue': apiJsonRoute<{ queue: string }, typeof settingsQuery>(
    ({ services: { rpc }, params, query, body, by }) =>
      changeSettings(rpc, params.queue, query.partition, body, by),
    { query: settingsQuery, whenInvalid: 'nothing was changed' },
  ),
  'POST /queues/:queue/actions': startActionRoute(),
  'GET /queues/:queue/errors': listErrorGroupsRoute,
  'GET /queues/:queue/errors/:id': readErrorGroupRoute,
  'POST /queues/:queue/errors/:id/known': markErrorGroupRoute,
  /** Pauses the queue or one of its partitions: `{ reason, until?, partition? }`. 200 as for a change of settings; 404; 422. */
  'POST /queues/:queue/pause': apiJsonRoute<{ queue: string }>(
    ({ services: { rpc }, params, body, by }) => pauseQueue(rpc, params.queue, body, by),
    { whenInvalid: 'nothing was paused' },
  ),
  /** Ends the pause of the queue or of one of its partitions: `{ partition? }`. 200 as for a change of settings; 404; 422. */
  'POST /queues/:queue/resume': apiJsonRoute<{ queue: string }>(
    ({ services: { rpc }, params, body, by }) => resumeQueue(rpc, params.queue, body, by),
    { optional: true, whenInvalid: 'nothing was resumed' },
  ),
  'GET /queues/:queue/rows': listRowsRoute(),
  'GET /queues/:queue/rows/:id': readRowRoute,
  'POST /queues/:queue/rows/:id/resolve': resolveRowRoute(),
  'GET /queues/:queue/rows/:id/why': explainRowRoute(),
  'POST /queues/:queue/run': runQueueRoute,
  /** Lists a queue's ticks, the latest first: `?idle=true&limit=50&cursor=…`. `{ ticks, next }`; 400 and 404. */
  'GET /queues/:queue/ticks': listTicksRoute,
  /** Returns a tick with its whole report, and the ticks of its run: `{ tick, run }`. 404. */
  'GET /ticks/:id': readTickRoute,
  'GET /trigger/:queue': triggerRoute,
  'POST /trigger/:queue': triggerRoute,
} satisfies Endpoints;
