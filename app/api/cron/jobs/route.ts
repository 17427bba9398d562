// Every minute, by vercel.json; with ?queue=failed as often as failed jobs are to be tried again.
import { after } from 'next/server';
import { partQuery, workRoute } from '@/lib/cron/cron-route';
import { queueWork } from '@/lib/cron/handlers/queue-work';
import { scheduledJobs } from '@/lib/queues/jobs/queue';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = workRoute(queueWork(scheduledJobs), { maxDuration, after, query: partQuery });
export const GET = tick;
export const POST = tick;
