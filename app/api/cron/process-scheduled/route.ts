// Ticks all queues in one call, for plans and schedulers that allow one entry: docs/schedulers.md. vercel.json has one entry for each queue instead.
import { after } from 'next/server';
import { cronRoute } from '@/lib/cron/cron-route.ts';
import { scheduledHandler } from '@/lib/cron/handlers/scheduled-handler.ts';
import { punctual } from '@/punctual.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(scheduledHandler(punctual.queues), { maxDuration, after });
export const GET = tick;
export const POST = tick;
