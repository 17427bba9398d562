// Every five minutes, by vercel.json.
import { workRoute } from '@/lib/cron/cron-route';
import { reconcileWork } from '@/lib/cron/handlers/reconcile-work';
import { scheduledQueues } from '@/lib/queues/scheduled-queues';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const reconcile = workRoute(reconcileWork(scheduledQueues), { maxDuration });
export const GET = reconcile;
export const POST = reconcile;
