import { z } from 'zod';
import { coverageQuery, coverageSchema, readCoverage } from '../cron/slots/schedule-coverage.ts';
import { apiRoute } from '../http/api-route.ts';
import { describeEndpoint } from '../http/describe-endpoint.ts';
import { wholeNumber } from '../http/query.ts';
import { json } from '../http/respond.ts';
import { healthSchema, readHealth } from '../stats/health.ts';
import { pulseSchema, readPulse } from '../stats/pulse.ts';
import { readAnalytics, readStats } from '../stats/stats.ts';
import { analyticsSchema } from '../store/analytics.ts';
import { statsSchema } from '../store/stats.ts';
import type { Endpoints } from './endpoints.ts';

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
} satisfies Endpoints;
