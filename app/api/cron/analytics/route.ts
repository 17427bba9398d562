// Once a day, by vercel.json, before retention.
import { z } from 'zod';
import { workRoute } from '@/lib/cron/cron-route';
import { rollUpWork } from '@/lib/cron/handlers/roll-up-work';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const rollUp = workRoute(rollUpWork, {
  maxDuration,
  query: z.strictObject({ day: z.string().optional() }),
});
export const GET = rollUp;
export const POST = rollUp;
