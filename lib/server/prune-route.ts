import { z } from 'zod';
import { startBudget } from '../engine/budget';
import { systemClock } from '../engine/clock';
import { container } from './container';
import { refuseCron } from './cron-route';
import { failed } from './failure';
import { json } from './respond';

const step = z.object({ rows: z.number(), ticks: z.number(), more: z.boolean() });
/** The longest one step takes: the database ends it then. */
const stepMs = 5_000;

/**
 * Retention: settled rows past their queue's `retention_days` and old entries of the ledger go, a thousand at a time, until none is
 * left or the time is. Answers `{ rows, ticks, more }`; what is left goes with the next call.
 */
export function pruneRoute({ maxDuration }: { maxDuration: number }) {
  return async (request: Request): Promise<Response> => {
    const budget = startBudget(systemClock, systemClock.now(), maxDuration * 1_000);
    const refused = refuseCron(request);
    if (refused) return refused;
    try {
      const { rpc } = await container();
      const pruned = { rows: 0, ticks: 0, more: true };
      while (pruned.more && budget.admits(stepMs)) {
        const { rows, ticks, more } = step.parse(await rpc('prune', { p_limit: 1_000 }));
        pruned.rows += rows;
        pruned.ticks += ticks;
        pruned.more = more;
      }
      return json(200, pruned);
    } catch (error) {
      return failed(error);
    }
  };
}
