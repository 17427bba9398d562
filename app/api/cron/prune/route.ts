// Once a day, by vercel.json.
import { cronRoute } from '@/lib/cron/cron-route.ts';
import { pruneHandler } from '@/lib/cron/handlers/prune-handler.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const prune = cronRoute(pruneHandler, { maxDuration });
export const GET = prune;
export const POST = prune;
