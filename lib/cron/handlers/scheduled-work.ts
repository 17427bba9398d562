import { z } from 'zod';
import type { NotConfiguredError } from '../../engine/queue';
import { missingSettings, type ScheduledQueue } from '../../queues/scheduled-queue';
import type { Container } from '../../services/container';
import type { ServerEnv } from '../../services/env';
import { type Admits, admitsOf } from '../cron-call';
import type { CronWork } from '../cron-work';
import { readDuePartitions } from './due-partitions';
import { isMissing } from './partitions-work';
import { prune } from './prune-work';
import { rollUp } from './roll-up-work';
import { type Part, tickSideBySide } from './tick-side-by-side';

const continuationLimits = z.record(z.string(), z.number());

/** Ticks side by side: as many as an installation has queues and parts at work, as a rule, so that none waits. */
const sideBySide = 16;

/**
 * All that falls due, in one call: one tick of every queue, and of each part of one that has something due, side by side, within one
 * budget that they share; and once a UTC day the roll-up and retention beside them. For plans and schedulers that allow one entry.
 *
 * Answers `{ reports: [TickReport], left, housekeeping, notConfigured }`; `left` names as `queue:partition` what there was no time for,
 * `housekeeping` is null but for once a day, `notConfigured` names queues whose provider is not set. A queue that fails does not keep the
 * others: its error is the `fault`. Where none at all is configured, it throws the first's `NotConfiguredError`.
 */
export function scheduledWork(queues: readonly ScheduledQueue[]): CronWork {
  return async (shared, call) => {
    const { configured, missing } = split(queues, shared.env);
    if (configured.length === 0 && missing[0]) throw missing[0].error;
    const limits =
      call.continuation === 0
        ? null
        : continuationLimits.parse(await shared.rpc('list_continuation_limits', {}));
    // A continuation is of the queues that allow so many: the others wait for the next slot.
    const wanted = configured.filter(
      ({ queue }) => !limits || call.continuation <= (limits[queue.name] ?? 0),
    );
    const parts = inTurns(await Promise.all(wanted.map((queue) => partsOf(shared, queue))));
    const [{ reports, left, faults }, housekeeping] = await Promise.all([
      tickSideBySide(parts, shared, call, sideBySide),
      keepHouse(shared, admitsOf(shared.ports.clock, call)).catch((error: unknown) => ({ error })),
    ]);
    if (housekeeping !== null && 'error' in housekeeping) faults.push(housekeeping.error);
    // Where no variable is missing, the queue's own code is at fault.
    faults.push(...missing.map(({ error }) => error).filter(({ variables }) => variables.length === 0));
    return {
      reports,
      fault: faults[0],
      body: {
        reports,
        left: left.map(({ queue, partition }) => `${queue.name}:${partition}`),
        housekeeping,
        notConfigured: missing.map(({ queue }) => queue),
      },
    };
  };
}

function split(queues: readonly ScheduledQueue[], env: ServerEnv) {
  const missing: { queue: string; error: NotConfiguredError }[] = [];
  const configured = queues.filter(({ queue }) => {
    const error = missingSettings(queue, env);
    if (error) missing.push({ queue: queue.name, error });
    return !error;
  });
  return { configured, missing };
}

/** The first part of each queue, then the second of each: where there is no time for all, none of them goes without. */
function inTurns(lists: Part[][]): Part[] {
  const longest = Math.max(0, ...lists.map((parts) => parts.length));
  return Array.from({ length: longest }, (_, turn) => lists.flatMap((parts) => parts[turn] ?? [])).flat();
}

/** Parts that have endpoints of their own are pinned to other places: only the one that is everywhere is ticked here. */
async function partsOf(shared: Container, { queue, parts }: ScheduledQueue): Promise<Part[]> {
  if (parts !== 'due') return [{ queue, partition: 'main', timeoutMs: queue.timeoutMs }];
  try {
    return (await readDuePartitions(shared, queue.name)).map((part) => ({ queue, ...part }));
  } catch (error) {
    // Not added yet: there is nothing to do.
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The roll-up and retention, until they are through for the day. Null where they are. */
async function keepHouse(shared: Container, admits: Admits) {
  const { rpc } = shared;
  if (!z.boolean().parse(await rpc('is_housekeeping_due', {}))) return null;
  const { steps, rows, more } = await rollUp(shared, admits);
  const pruned = await prune(shared, admits);
  if (!more && !pruned.more) await rpc('note_housekeeping', {});
  return { rolledUp: { steps: steps.length, rows, more }, pruned };
}
