import { sqlRoute } from '@/lib/operate/sql-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

/** Runs SQL on the embedded database, in development: see `sqlRoute`. */
export const POST = sqlRoute;
