// Every minute, by vercel.json.
import { after } from 'next/server';
import { handlers } from '@/jobs/handlers.ts';
import { cronRoute, partitionQuery } from '@/lib/cron/cron-route.ts';
import { queueHandler } from '@/lib/cron/handlers/queue-handler.ts';
import { messageQueue } from '@/lib/queues/pgmq/queue.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(queueHandler(messageQueue(handlers)), { maxDuration, after, query: partitionQuery });
export const GET = tick;
export const POST = tick;
