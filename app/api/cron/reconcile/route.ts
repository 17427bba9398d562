// Every five minutes, by vercel.json.

import { workRoute } from '@/lib/cron/cron-route';
import { reconcileWork } from '@/lib/cron/handlers/reconcile-work';
import { dmQueue } from '@/lib/queues/dm-queue/queue';
import { posts } from '@/lib/queues/posts/queue';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const reconcile = workRoute(reconcileWork([dmQueue, posts]), { maxDuration });
export const GET = reconcile;
export const POST = reconcile;
