// Every minute, by vercel.json.
import { after } from 'next/server';
import { cronRoute } from '@/lib/cron/cron-route.ts';
import { tickHandler } from '@/lib/cron/handlers/tick-partition.ts';
import { enrolments } from '@/lib/queues/sequences/queue.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(tickHandler(enrolments), { maxDuration, after });
export const GET = tick;
export const POST = tick;
