import { bulkRoute } from '@/lib/http/bulk-route.ts';
import { listRowsRoute } from '@/lib/operate/rows/rows-route.ts';
import { enqueueDms } from '@/lib/queues/dm-queue/new-dms.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export const GET = listRowsRoute('dm_queue');

/** Queues messages: see `bulkRoute`. */
export const POST = bulkRoute('nothing was created', ({ services: { rpc }, body }) => enqueueDms(rpc, body));
