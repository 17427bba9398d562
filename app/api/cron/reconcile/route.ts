// Every five minutes, by vercel.json.
import { cronRoute } from '@/lib/cron/cron-route.ts';
import { reconcileHandler } from '@/lib/cron/handlers/reconcile-handler.ts';
import { punctual } from '@/punctual.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const reconcile = cronRoute(reconcileHandler(punctual.queues), { maxDuration });
export const GET = reconcile;
export const POST = reconcile;
