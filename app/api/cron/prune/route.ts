// Once a day, by vercel.json.
import { workRoute } from '@/lib/cron/cron-route';
import { pruneWork } from '@/lib/cron/handlers/prune-work';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const prune = workRoute(pruneWork, { maxDuration });
export const GET = prune;
export const POST = prune;
