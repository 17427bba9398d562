import { clocksQuery, readClocks } from '@/lib/cron/slots/clocks';
import { apiRoute } from '@/lib/http/api-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Which slots clocks delivered, and which they did not, as `lib/cron/slots/clocks.ts` says: of the last `?hours=` (1 to 48, 24 unless said), to
 * `?queue=` or to all. 400 for others.
 */
export const GET = apiRoute(
  async ({ query: { hours, queue }, container: { rpc } }) => {
    const { clocks, ...rest } = await readClocks(rpc, hours);
    return {
      ...rest,
      clocks: queue === undefined ? clocks : clocks.filter(({ queues }) => queues.includes(queue)),
    };
  },
  { dashboard: true, query: clocksQuery },
);
