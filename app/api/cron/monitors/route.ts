// Every minute, by vercel.json. Ticks the default region, in the region where the project's functions run.
import { after } from 'next/server';
import { cronRoute } from '@/lib/cron/cron-route.ts';
import { tickHandler } from '@/lib/cron/handlers/tick-partition.ts';
import { monitors } from '@/lib/queues/monitors/queue.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(tickHandler(monitors, 'main'), { maxDuration, after });
export const GET = tick;
export const POST = tick;
