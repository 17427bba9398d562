import { coverageQuery, readCoverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { apiRoute } from '@/lib/http/api-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Returns the slots that schedulers delivered and missed in the last `?hours=` (1 to 48, 24 by default), for `?queue=` or all queues. The format is
 * in `lib/cron/slots/schedule-coverage.ts`. 400 for an invalid query.
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
