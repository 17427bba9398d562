import { z } from 'zod';
import { coverageQuery, readCoverage } from '../cron/slots/schedule-coverage.ts';
import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { wholeNumber } from '../http/query.ts';
import { json } from '../http/respond.ts';
import { readForecast } from '../stats/forecast.ts';
import { readHealth } from '../stats/health.ts';
import { needSources, readNeeds } from '../stats/needs/read-needs.ts';
import { snoozeNeed, wakeNeed } from '../stats/needs/snoozes.ts';
import { readPulse } from '../stats/pulse.ts';
import { readAnalytics, readStats } from '../stats/stats.ts';
import type { Rpc } from '../store/rpc.ts';
import type { Endpoints } from './endpoints.ts';

const listed = (rpc: Rpc) =>
  readNeeds(
    rpc,
    needSources(rpc, () => readCoverage(rpc, 24)),
  );

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
  /** Returns what falls due in the next six hours, and what the accounts may send, as `{ queues }`. */
  'GET /forecast': apiRoute(async ({ services: { rpc } }) => ({ queues: await readForecast(rpc) }), {
    dashboard: true,
  }),
  /** Returns what waits for a person, the worst first, as `{ needs }`, also what was put off. */
  'GET /needs': apiRoute(async ({ services: { rpc } }) => ({ needs: await listed(rpc) }), {
    dashboard: true,
  }),
  /** Puts a line off: `{ until }`. 200 with the snooze; 404 if there is no such line now; 422. */
  'POST /needs/:key/snooze': apiJsonRoute<{ key: string }>(
    async ({ services: { rpc }, params, body, by }) =>
      snoozeNeed(rpc, await listed(rpc), params.key, body, by),
    { whenInvalid: 'nothing was put off' },
  ),
  /** Ends the snooze of a line. 200 with `{ key }`, also if it had none. */
  'DELETE /needs/:key/snooze': apiRoute<{ key: string }>(async ({ services: { rpc }, params, by }) =>
    wakeNeed(rpc, await listed(rpc), params.key, by),
  ),
} satisfies Endpoints;
