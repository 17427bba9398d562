import { z } from 'zod';
import { apiRoute } from '@/lib/http/api-route';
import { wholeNumber } from '@/lib/http/query';
import { readAnalytics } from '@/lib/stats/stats';

/** What the queues did by the day, as `lib/store/analytics.ts` says: `?days=` of them, 14 unless said. */
export const GET = apiRoute(({ query: { days } }) => readAnalytics(days), {
  dashboard: true,
  query: z.strictObject({ days: wholeNumber(1, 90, 'is no whole number from 1 to 90').default(14) }),
});
