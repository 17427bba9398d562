import { listTicksRoute } from '@/lib/operate/ticks.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Lists a queue's ticks, the latest first: `?idle=true&limit=50&cursor=…`. `{ ticks, next }`; 400 and 404. */
export const GET = listTicksRoute;
