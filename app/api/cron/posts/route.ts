// Every minute, by vercel.json.
import { after } from 'next/server';
import { posts } from '@/lib/queues/posts/queue';
import { cronRoute } from '@/lib/server/cron-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = cronRoute(posts, { maxDuration, after });
export const GET = tick;
export const POST = tick;
