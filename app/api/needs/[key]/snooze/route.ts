import { readCoverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { apiJsonRoute, apiRoute } from '@/lib/http/api-route.ts';
import { needSources, readNeeds } from '@/lib/stats/needs/read-needs.ts';
import { snoozeNeed, wakeNeed } from '@/lib/stats/needs/snoozes.ts';
import type { Rpc } from '@/lib/store/rpc.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

const listed = (rpc: Rpc) =>
  readNeeds(
    rpc,
    needSources(rpc, () => readCoverage(rpc, 24)),
  );

/** Puts a line off: `{ until }`. 200 with the snooze; 404 if there is no such line now; 422. */
export const POST = apiJsonRoute<{ key: string }>(
  async ({ services: { rpc }, params, body, by }) => snoozeNeed(rpc, await listed(rpc), params.key, body, by),
  { whenInvalid: 'nothing was put off' },
);

/** Ends the snooze of a line. 200 with `{ key }`, also if it had none. */
export const DELETE = apiRoute<{ key: string }>(async ({ services: { rpc }, params, by }) =>
  wakeNeed(rpc, await listed(rpc), params.key, by),
);
