import { z } from 'zod';
import { apiRoute } from '@/lib/http/api-route';
import { json } from '@/lib/http/respond';
import { readAnalytics } from '@/lib/stats/analytics';

const noDays = 'is no whole number from 1 to 90';
const query = z.strictObject({
  days: z
    .string()
    .regex(/^\d{1,2}$/, noDays)
    .transform(Number)
    .refine((days) => days >= 1 && days <= 90, noDays)
    .default(14),
});

/** What the queues did by the day, as `lib/store/analytics.ts` says: `?days=` of them, 14 unless said. */
export const GET = apiRoute(async ({ query: { days } }) => json(200, await readAnalytics(days)), {
  dashboard: true,
  query,
});
