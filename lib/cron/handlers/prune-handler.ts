import { z } from 'zod';
import { sleep, systemClock } from '../../engine/ports/clock.ts';
import { isError } from '../../services/is-error.ts';
import type { Services } from '../../services/services.ts';
import { type Admits, admitsOf } from '../cron-call.ts';
import type { CronHandler } from '../cron-handler.ts';

const counts = z.object({
  rows: z.number(),
  ticks: z.number(),
  history: z.number(),
  receipts: z.number(),
  enrolments: z.number().describe('Enrolments that lost their variables and timeline.'),
  checks: z.number(),
  hours: z.number(),
  incidents: z.number(),
  acts: z.number().describe('Acts of people, in the audit.'),
  days: z.number(),
});
export const pruneReport = counts.extend({
  problems: z.array(z.object({ queue: z.string(), problem: z.string() })),
  more: z.boolean(),
});
type Counts = z.infer<typeof counts>;
type Step = z.infer<typeof pruneReport>;
/** The transport waits this long for one step; the database cancels it after 4 s. */
const stepMs = 5_000;

const statementTimeout = '57014';

/** The pause while the rows that are left belong to a queue that is being rolled up. */
const busyMs = 500;

/**
 * Deletes rows older than their retention: settled rows by their queue's `retention_days`, all else by `punctual.settings`. A step deletes up
 * to 1,000 rows, and fewer after a step that took too long. The body has the count of each kind, `problems` (queues whose rows cannot be
 * deleted, and why) and `more`: the next call deletes the rest.
 */
export const pruneHandler: CronHandler = async (services, call) => {
  return { reports: [], body: await prune(services, admitsOf(services.ports.clock, call)) };
};

export async function prune({ rpc, log }: Pick<Services, 'rpc' | 'log'>, admits: Admits): Promise<Step> {
  const kinds = counts.keyof().options;
  const pruned = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Counts;
  let step: Pick<Step, 'problems' | 'more'> = { problems: [], more: true };
  let maxRows = 1_000;
  while (step.more && admits(stepMs)) {
    let response: unknown;
    try {
      response = await rpc('prune', { p_limit: maxRows });
    } catch (error) {
      if (!(isError(error, 'StoreError') && error.code === statementTimeout) || maxRows === 1) throw error;
      maxRows /= 10;
      continue;
    }
    const { problems, more, ...deleted } = pruneReport.parse(response);
    step = { problems, more };
    for (const kind of kinds) pruned[kind] += deleted[kind];
    const deletedNone = Object.values(deleted).every((count) => count === 0);
    if (more && deletedNone) await sleep(systemClock, busyMs);
  }
  for (const one of step.problems) log.error(one, 'retention cannot delete the rows of a queue');
  return { ...pruned, ...step };
}
