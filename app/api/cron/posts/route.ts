// Every minute, by vercel.json.
import { posts } from '@/lib/queues/posts';
import { cronRoute } from '@/lib/server/cron-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(posts, { maxDuration });
export const GET = tick;
export const POST = tick;
