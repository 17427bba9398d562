import { z } from 'zod';
import { coverageQuery, readCoverage } from '../cron/slots/schedule-coverage.ts';
import { apiRoute } from '../http/api-route.ts';
import { wholeNumber } from '../http/query.ts';
import { json } from '../http/respond.ts';
import { readHealth } from '../stats/health.ts';
import { readPulse } from '../stats/pulse.ts';
import { readAnalytics, readStats } from '../stats/stats.ts';
import type { Endpoints } from './endpoints.ts';

export const endpoints = {
  /** Says whether the database answers and ticks come. Needs no secret. 200, or 503 with the reason. */
  'GET /health': async () => {
    const health = await readHealth();
    return json(health.status === 'ok' ? 200 : 503, health);
  },
  /** Returns the queues' daily figures of `?days=` days, 1 to 90, 14 by default. The format is in `lib/store/analytics.ts`. */
  'GET /analytics': apiRoute(({ query: { days } }) => readAnalytics(days), {
    dashboard: true,
    query: z.strictObject({ days: wholeNumber(1, 90, 'must be a whole number from 1 to 90').default(14) }),
  }),
  /** Returns a value of a few bytes that changes when a page of the dashboard should be rendered anew. The format is in `lib/stats/pulse.ts`. */
  'GET /pulse': apiRoute(({ services: { rpc } }) => readPulse(rpc), { dashboard: true }),
  /**
   * Returns the slots that schedulers delivered and missed in the last `?hours=` (1 to 48, 24 by default), for `?queue=` or all queues. The format is
   * in `lib/cron/slots/schedule-coverage.ts`. 400 for an invalid query.
   */
  'GET /schedulers': apiRoute(
    async ({ query: { hours, queue }, services: { rpc } }) => {
      const { schedulers, ...rest } = await readCoverage(rpc, hours);
      return {
        ...rest,
        schedulers:
          queue === undefined ? schedulers : schedulers.filter(({ queues }) => queues.includes(queue)),
      };
    },
    { dashboard: true, query: coverageQuery },
  ),
  /** Returns the dashboard's figures as JSON, at most one second old. 503 with the reason while the database does not respond. */
  'GET /stats': apiRoute(() => readStats(), { dashboard: true }),
} satisfies Endpoints;
