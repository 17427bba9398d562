import { apiRoute } from '@/lib/server/api-route';
import { clocksQuestion, readClocks } from '@/lib/server/clocks';
import { json, problem } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/**
 * Which slots clocks delivered, and which they did not, as `lib/server/clocks.ts` says: of the last `?hours=` (1 to 48, 24 unless said), to
 * `?queue=` or to all. 400 for others.
 */
export const GET = apiRoute(
  async ({ url, container: { rpc } }) => {
    const asked = clocksQuestion(url.searchParams);
    if ('wrong' in asked) return problem(400, 'invalid', asked.wrong);
    const { clocks, ...rest } = await readClocks(rpc, asked.hours);
    const { queue } = asked;
    return json(200, {
      ...rest,
      clocks: queue === null ? clocks : clocks.filter(({ queues }) => queues.includes(queue)),
    });
  },
  { dashboard: true },
);
