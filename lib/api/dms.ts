import { bulkRoute } from '../http/bulk-route.ts';
import { explainRowRoute, listRowsRoute, resolveRowRoute } from '../operate/rows/rows-route.ts';
import { dmInput, enqueueDms } from '../queues/dm-queue/new-dms.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  'GET /dms': listRowsRoute('dm_queue'),
  'POST /dms': bulkRoute({
    summary: 'Queues messages.',
    example: {
      account_id: '…',
      channel: 'linkedin',
      chat_id: '…',
      body: 'Hello',
      send_at: '2026-12-01T09:00:00Z',
      idempotency_key: 'welcome-42',
    },
    row: dmInput,
    nothing: 'nothing was created',
    create: ({ services: { rpc }, body }) => enqueueDms(rpc, body),
  }),
  'POST /dms/:id/resolve': resolveRowRoute('dm_queue'),
  'GET /dms/:id/why': explainRowRoute('dm_queue'),
} satisfies Endpoints;
