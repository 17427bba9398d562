// Once a day, by vercel.json, before retention.
import { rollUpRoute } from '@/lib/server/roll-up-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const rollUp = rollUpRoute({ maxDuration });
export const GET = rollUp;
export const POST = rollUp;
