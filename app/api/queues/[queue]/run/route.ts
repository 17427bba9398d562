import { runQueueRoute } from '@/lib/cron/run-queue-route.ts';
import { punctual } from '@/punctual.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const POST = runQueueRoute(punctual.queues, { maxDuration });
