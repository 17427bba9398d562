// Every minute, by vercel.json. Call it with ?partition=failed as often as failed jobs should run again.
import { after } from 'next/server';
import { handlers } from '@/jobs/handlers.ts';
import { cronRoute, partitionQuery } from '@/lib/cron/cron-route.ts';
import { queueHandler } from '@/lib/cron/handlers/queue-handler.ts';
import { jobsQueue } from '@/lib/queues/jobs/queue.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(queueHandler(jobsQueue(handlers)), { maxDuration, after, query: partitionQuery });
export const GET = tick;
export const POST = tick;
