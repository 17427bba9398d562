import { readTickRoute } from '@/lib/operate/ticks.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns a tick with its whole report, and the ticks of its run: `{ tick, run }`. 404. */
export const GET = readTickRoute;
