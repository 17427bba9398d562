// Every five minutes, by vercel.json.
import { dmQueue } from '@/lib/queues/dm-queue';
import { posts } from '@/lib/queues/posts';
import { reconcileRoute } from '@/lib/server/reconcile-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const reconcile = reconcileRoute([dmQueue, posts], { maxDuration });
export const GET = reconcile;
export const POST = reconcile;
