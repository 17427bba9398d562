// Once a day, by vercel.json.
import { pruneRoute } from '@/lib/server/prune-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const prune = pruneRoute({ maxDuration });
export const GET = prune;
export const POST = prune;
