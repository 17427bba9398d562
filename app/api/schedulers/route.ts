import { coverageQuery, readCoverage } from '@/lib/cron/slots/schedule-coverage';
import { apiRoute } from '@/lib/http/api-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Which slots schedulers delivered, and which they did not, as `lib/cron/slots/schedule-coverage.ts` says: of the last `?hours=` (1 to 48, 24 unless said), to
 * `?queue=` or to all. 400 for others.
 */
export const GET = apiRoute(
  async ({ query: { hours, queue }, services: { rpc } }) => {
    const { schedulers, ...rest } = await readCoverage(rpc, hours);
    return {
      ...rest,
      schedulers:
        queue === undefined ? schedulers : schedulers.filter(({ queues }) => queues.includes(queue)),
    };
  },
  { dashboard: true, query: coverageQuery },
);
