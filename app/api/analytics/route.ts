import { z } from 'zod';
import { readAnalytics } from '@/lib/server/analytics';
import { apiRoute } from '@/lib/server/api-route';
import { json, problem } from '@/lib/server/respond';

const daysSchema = z.coerce.number().int().min(1).max(90).default(14);

/** What the queues did by the day, as `lib/store/analytics.ts` says: `?days=` of them, 14 unless said. */
export const GET = apiRoute(
  async ({ url }) => {
    const days = daysSchema.safeParse(url.searchParams.get('days') ?? undefined);
    if (!days.success) return problem(422, 'invalid', 'days is a whole number from 1 to 90');
    return json(200, await readAnalytics(days.data));
  },
  { dashboard: true },
);
