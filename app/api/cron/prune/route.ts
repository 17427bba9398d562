// Once a day, by vercel.json.
import { workRoute } from '@/lib/server/cron-route';
import { pruneWork } from '@/lib/server/prune-work';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const prune = workRoute(pruneWork, { maxDuration });
export const GET = prune;
export const POST = prune;
