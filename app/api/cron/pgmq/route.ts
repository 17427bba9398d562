// Every minute, by vercel.json.
import { after } from 'next/server';
import { noMessageQueue, pgmq } from '@/lib/queues/pgmq/queue';
import { partQuery, workRoute } from '@/lib/server/cron-route';
import { partitionsWork } from '@/lib/server/partitions-work';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = workRoute(partitionsWork(pgmq, { whereNone: noMessageQueue }), {
  maxDuration,
  after,
  query: partQuery,
});
export const GET = tick;
export const POST = tick;
