// Every five minutes, by vercel.json.
import { cronRoute } from '@/lib/cron/cron-route.ts';
import { reconcileHandler } from '@/lib/cron/handlers/reconcile-handler.ts';
import { scheduledQueues } from '@/lib/queues/scheduled-queues.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const reconcile = cronRoute(reconcileHandler(scheduledQueues), { maxDuration });
export const GET = reconcile;
export const POST = reconcile;
