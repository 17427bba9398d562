// Every minute, by vercel.json.
import { after } from 'next/server';
import { cronRoute } from '@/lib/cron/cron-route.ts';
import { tickHandler } from '@/lib/cron/handlers/tick-partition.ts';
import { posts } from '@/lib/queues/posts/queue.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(tickHandler(posts), { maxDuration, after });
export const GET = tick;
export const POST = tick;
