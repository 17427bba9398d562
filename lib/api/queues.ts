import { z } from 'zod';
import { runQueueRoute } from '../cron/run-queue-route.ts';
import { triggerRoute } from '../cron/trigger-route.ts';
import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import {
  anySettingsInput,
  changedQueue,
  changeSettings,
  listedQueue,
  listQueues,
  pauseQueue,
  queuePauseInput,
  queueResumeInput,
  queueWithPartitions,
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
  'GET /queues': apiRoute({
    summary: 'Lists the queues with their settings and pauses.',
    response: z.object({ queues: z.array(listedQueue) }),
    dashboard: true,
    handle: async ({ services: { rpc } }) => ({ queues: await listQueues(rpc) }),
  }),
  'GET /queues/:queue': apiRoute({
    summary: 'Returns the settings and pauses of the queue and its partitions, and the last ten acts on it.',
    response: queueWithPartitions,
    errors: [404],
    dashboard: true,
    handle: ({ services: { rpc }, params }) => readQueueSettings(rpc, params.queue),
  }),
  'PATCH /queues/:queue': apiJsonRoute({
    summary: 'Changes [settings](settings.md) of the queue, or of one of its partitions.',
    example: { concurrency: 8, note: 'backlog' },
    query: settingsQuery,
    body: anySettingsInput,
    response: changedQueue,
    errors: [404],
    whenInvalid: 'nothing was changed',
    handle: ({ services: { rpc }, params, query, body, by }) =>
      changeSettings(rpc, params.queue, query.partition, body, by),
  }),
  'POST /queues/:queue/actions': startActionRoute,
  'GET /queues/:queue/errors': listErrorGroupsRoute,
  'GET /queues/:queue/errors/:id': readErrorGroupRoute,
  'POST /queues/:queue/errors/:id/known': markErrorGroupRoute,
  'POST /queues/:queue/pause': apiJsonRoute({
    summary: 'Pauses the queue, or one of its partitions.',
    body: queuePauseInput,
    response: changedQueue,
    errors: [404],
    whenInvalid: 'nothing was paused',
    handle: ({ services: { rpc }, params, body, by }) => pauseQueue(rpc, params.queue, body, by),
  }),
  'POST /queues/:queue/resume': apiJsonRoute({
    summary: 'Ends the pause of the queue, or of one of its partitions.',
    body: queueResumeInput,
    bodyIsOptional: true,
    response: changedQueue,
    errors: [404],
    whenInvalid: 'nothing was resumed',
    handle: ({ services: { rpc }, params, body, by }) => resumeQueue(rpc, params.queue, body, by),
  }),
  'GET /queues/:queue/rows': listRowsRoute(),
  'GET /queues/:queue/rows/:id': readRowRoute,
  'POST /queues/:queue/rows/:id/resolve': resolveRowRoute(),
  'GET /queues/:queue/rows/:id/why': explainRowRoute(),
  'POST /queues/:queue/run': runQueueRoute,
  'GET /queues/:queue/ticks': listTicksRoute,
  'GET /ticks/:id': readTickRoute,
  'GET /trigger/:queue': triggerRoute,
  'POST /trigger/:queue': triggerRoute,
} satisfies Endpoints;
