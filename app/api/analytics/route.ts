import { z } from 'zod';
import { apiRoute } from '@/lib/http/api-route.ts';
import { wholeNumber } from '@/lib/http/query.ts';
import { readAnalytics } from '@/lib/stats/stats.ts';

/** Returns the queues' daily figures of `?days=` days, 1 to 90, 14 by default. The format is in `lib/store/analytics.ts`. */
export const GET = apiRoute(({ query: { days } }) => readAnalytics(days), {
  dashboard: true,
  query: z.strictObject({ days: wholeNumber(1, 90, 'must be a whole number from 1 to 90').default(14) }),
});
