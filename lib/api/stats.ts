import { z } from 'zod';
import { coverageQuery, coverageSchema, readCoverage } from '../cron/slots/schedule-coverage.ts';
import { apiJsonRoute, apiRoute } from '../http/api-route.ts';
import { describeEndpoint } from '../http/describe-endpoint.ts';
import { wholeNumber } from '../http/query.ts';
import { json } from '../http/respond.ts';
import { forecastSchema, readForecast } from '../stats/forecast.ts';
import { healthSchema, readHealth } from '../stats/health.ts';
import { needSources, readNeeds } from '../stats/needs/read-needs.ts';
import {
  endedSnooze,
  listedNeed,
  snoozeInput,
  snoozeNeed,
  snoozeSchema,
  wakeNeed,
} from '../stats/needs/snoozes.ts';
import { pulseSchema, readPulse } from '../stats/pulse.ts';
import { readAnalytics, readStats } from '../stats/stats.ts';
import { analyticsSchema } from '../store/analytics.ts';
import type { Rpc } from '../store/rpc.ts';
import { statsSchema } from '../store/stats.ts';
import type { Endpoints } from './endpoints.ts';

const listed = (rpc: Rpc) =>
  readNeeds(
    rpc,
    needSources(rpc, () => readCoverage(rpc, 24)),
  );

export const endpoints = {
  'GET /health': describeEndpoint(
    async () => {
      const health = await readHealth();
      return json(health.status === 'ok' ? 200 : 503, health);
    },
    {
      summary:
        'Says whether the database responds and ticks come. 503 if the database is down or its schema is `behind`, with the same body.',
      access: 'none',
      response: healthSchema,
      statuses: [200, 503],
    },
  ),
  'GET /analytics': apiRoute({
    summary: 'Returns the queues’ [daily figures](analytics.md).',
    response: analyticsSchema,
    dashboard: true,
    query: z.strictObject({
      days: wholeNumber(1, 90, 'must be a whole number from 1 to 90')
        .default(14)
        .describe('1 to 90; default 14.'),
    }),
    handle: ({ query: { days } }) => readAnalytics(days),
  }),
  'GET /pulse': apiRoute({
    summary:
      'Returns a value under 300 bytes that changes with each tick that is not idle, and with its progress. The dashboard reads it, and renders the page anew when it differs.',
    response: pulseSchema,
    dashboard: true,
    handle: ({ services: { rpc } }) => readPulse(rpc),
  }),
  'GET /schedulers': apiRoute({
    summary:
      'Returns [which slots came](schedulers.md#slots-in-the-ledger) of each scheduler, and which schedules are `silent`.',
    response: coverageSchema,
    dashboard: true,
    query: coverageQuery,
    async handle({ query: { hours, queue }, services: { rpc } }) {
      const { schedulers, ...rest } = await readCoverage(rpc, hours);
      return {
        ...rest,
        schedulers:
          queue === undefined ? schedulers : schedulers.filter(({ queues }) => queues.includes(queue)),
      };
    },
  }),
  'GET /stats': apiRoute({
    summary:
      'Returns the figures of each queue, at most a second old: counts by state, rows that `failed` in the last 24 hours, `undecided` rows, outcomes by minute (`throughput`) and by hour (`day`), the `last_tick`, and what holds rows; also `paused_accounts` and `providers` that rest.',
    response: statsSchema,
    dashboard: true,
    handle: () => readStats(),
  }),
  'GET /forecast': apiRoute({
    summary:
      'Returns what falls due in the next six hours in each queue with accounts, and what the accounts of these rows may send.',
    response: z.object({ queues: z.array(forecastSchema) }),
    dashboard: true,
    handle: async ({ services: { rpc } }) => ({ queues: await readForecast(rpc) }),
  }),
  'GET /needs': apiRoute({
    summary: 'Lists what waits for a person, the worst first, as Today does; also what was put off.',
    response: z.object({ needs: z.array(listedNeed) }),
    dashboard: true,
    handle: async ({ services: { rpc } }) => ({ needs: await listed(rpc) }),
  }),
  'POST /needs/:key/snooze': apiJsonRoute({
    summary: 'Puts a line off. 404 if there is no such line now.',
    example: { until: '2026-12-02T08:00:00Z' },
    body: snoozeInput,
    response: snoozeSchema,
    errors: [404],
    whenInvalid: 'nothing was put off',
    handle: async ({ services: { rpc }, params, body, by }) =>
      snoozeNeed(rpc, await listed(rpc), params.key, body, by),
  }),
  'DELETE /needs/:key/snooze': apiRoute({
    summary: 'Ends the snooze of a line, also of one that is gone.',
    response: endedSnooze,
    errors: [404, 422],
    handle: async ({ services: { rpc }, params, by }) => wakeNeed(rpc, await listed(rpc), params.key, by),
  }),
} satisfies Endpoints;
