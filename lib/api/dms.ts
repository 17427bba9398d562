import { bulkRoute } from '../http/bulk-route.ts';
import { explainRowRoute, listRowsRoute, resolveRowRoute } from '../operate/rows/rows-route.ts';
import { enqueueDms } from '../queues/dm-queue/new-dms.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'GET /dms': listRowsRoute('dm_queue'),
  /** Queues messages: see `bulkRoute`. */
  'POST /dms': bulkRoute('nothing was created', ({ services: { rpc }, body }) => enqueueDms(rpc, body)),
  'POST /dms/:id/resolve': resolveRowRoute('dm_queue'),
  'GET /dms/:id/why': explainRowRoute('dm_queue'),
} satisfies Endpoints;
