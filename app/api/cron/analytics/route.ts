// Once a day, by vercel.json, before the prune.
import { z } from 'zod';
import { cronRoute } from '@/lib/cron/cron-route.ts';
import { rollUpHandler } from '@/lib/cron/handlers/roll-up-handler.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const rollUp = cronRoute(rollUpHandler, {
  maxDuration,
  query: z.strictObject({ day: z.string().optional() }),
});
export const GET = rollUp;
export const POST = rollUp;
