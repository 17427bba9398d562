import { readCoverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { apiRoute } from '@/lib/http/api-route.ts';
import { needSources, readNeeds } from '@/lib/stats/needs/read-needs.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Returns what waits for a person, the worst first, as `{ needs }`, also what was put off. */
export const GET = apiRoute(
  async ({ services: { rpc } }) => ({
    needs: await readNeeds(
      rpc,
      needSources(rpc, () => readCoverage(rpc, 24)),
    ),
  }),
  { dashboard: true },
);
