import { z } from 'zod';
import { sleep, systemClock } from '../../engine/ports/clock';
import type { Container } from '../../services/container';
import { isError } from '../../services/is-error';
import { type Admits, admitsOf } from '../cron-call';
import type { CronWork } from '../cron-work';

const counts = z.object({
  rows: z.number(),
  ticks: z.number(),
  history: z.number(),
  receipts: z.number(),
  /** Whose variables and timeline were deleted. */
  enrolments: z.number(),
  checks: z.number(),
  hours: z.number(),
  incidents: z.number(),
  days: z.number(),
});
const stepSchema = counts.extend({
  problems: z.array(z.object({ queue: z.string(), problem: z.string() })),
  more: z.boolean(),
});
type Counts = z.infer<typeof counts>;
type Step = z.infer<typeof stepSchema>;
/** The longest one step takes: the database ends it then. */
const stepMs = 5_000;

const statementTimeout = '57014';

/** Until a queue that is being rolled up is asked about again. */
const busyMs = 500;

/**
 * Retention: settled rows past their queue's `retention_days` go, and everything else past the days of `punctual.settings`, a thousand at a
 * time, fewer where that took too long, until none is left or the time is. Answers how many of each kind, `problems` (queues whose rows cannot
 * be deleted, and why) and `more`; what is left goes with the next call.
 */
export const pruneWork: CronWork = async (shared, call) => {
  return { reports: [], body: await prune(shared, admitsOf(shared.ports.clock, call)) };
};

export async function prune({ rpc, log }: Pick<Container, 'rpc' | 'log'>, admits: Admits): Promise<Step> {
  const kinds = counts.keyof().options;
  const pruned = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Counts;
  let step: Pick<Step, 'problems' | 'more'> = { problems: [], more: true };
  let most = 1_000;
  while (step.more && admits(stepMs)) {
    let answer: unknown;
    try {
      answer = await rpc('prune', { p_limit: most });
    } catch (error) {
      if (!(isError(error, 'StoreError') && error.code === statementTimeout) || most === 1) throw error;
      most /= 10;
      continue;
    }
    const { problems, more, ...taken } = stepSchema.parse(answer);
    step = { problems, more };
    for (const kind of kinds) pruned[kind] += taken[kind];
    const idle = Object.values(taken).every((count) => count === 0);
    if (more && idle) await sleep(systemClock, busyMs);
  }
  for (const one of step.problems) log.error(one, 'retention cannot delete the rows of a queue');
  return { ...pruned, ...step };
}
