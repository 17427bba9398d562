import { runQueueRoute } from '@/lib/cron/run-queue-route.ts';
import { scheduledQueues } from '@/lib/queues/scheduled-queues.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const POST = runQueueRoute(scheduledQueues, { maxDuration });
