// Every minute, by vercel.json.
import { after } from 'next/server';
import { partQuery, workRoute } from '@/lib/cron/cron-route';
import { queueWork } from '@/lib/cron/handlers/queue-work';
import { scheduledPgmq } from '@/lib/queues/pgmq/queue';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = workRoute(queueWork(scheduledPgmq), { maxDuration, after, query: partQuery });
export const GET = tick;
export const POST = tick;
