// Every minute, by vercel.json.
import { after } from 'next/server';
import { partQuery, workRoute } from '@/lib/cron/cron-route';
import { partitionsWork } from '@/lib/cron/handlers/partitions-work';
import { noMessageQueue, pgmq } from '@/lib/queues/pgmq/queue';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = workRoute(partitionsWork(pgmq, { whereNone: noMessageQueue }), {
  maxDuration,
  after,
  query: partQuery,
});
export const GET = tick;
export const POST = tick;
