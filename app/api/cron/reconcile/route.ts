// Every five minutes, by vercel.json.
import { dmQueue } from '@/lib/queues/dm-queue/queue';
import { posts } from '@/lib/queues/posts/queue';
import { workRoute } from '@/lib/server/cron-route';
import { lookWork } from '@/lib/server/look-work';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const reconcile = workRoute(lookWork([dmQueue, posts]), { maxDuration });
export const GET = reconcile;
export const POST = reconcile;
