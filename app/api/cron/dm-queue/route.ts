// Every minute, by vercel.json.
import { after } from 'next/server';
import { dmQueue } from '@/lib/queues/dm-queue/queue';
import { cronRoute } from '@/lib/server/cron-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(dmQueue, { maxDuration, after });
export const GET = tick;
export const POST = tick;
