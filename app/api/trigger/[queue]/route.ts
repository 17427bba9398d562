// For a scheduler that is to wake a worker elsewhere (WORKER_URL), and tick here where it does not answer.
import { after } from 'next/server';
import { triggerRoute } from '@/lib/cron/trigger-route';
import { scheduledQueues } from '@/lib/queues/scheduled-queues';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const trigger = triggerRoute(scheduledQueues, { maxDuration, after });
export const GET = trigger;
export const POST = trigger;
