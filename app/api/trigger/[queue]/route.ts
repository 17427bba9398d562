// For schedulers: wakes the worker at WORKER_URL, and ticks here if the worker does not respond.
import { after } from 'next/server';
import { triggerRoute } from '@/lib/cron/trigger-route.ts';
import { punctual } from '@/punctual.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const trigger = triggerRoute(punctual.queues, { maxDuration, after });
export const GET = trigger;
export const POST = trigger;
