import { z } from 'zod';
import type { NotConfiguredError } from '../../engine/queue.ts';
import { tickReport } from '../../engine/tick-report.ts';
import { type AnyQueue, missingSettings } from '../../queues/find-queue.ts';
import type { ServerEnv } from '../../services/env.ts';
import type { Services } from '../../services/services.ts';
import { type Admits, admitsOf } from '../cron-call.ts';
import type { CronHandler } from '../cron-handler.ts';
import { readDuePartitions } from './due-partitions.ts';
import { isMissing } from './partitions-handler.ts';
import { prune, pruneReport } from './prune-handler.ts';
import { rollUp } from './roll-up-handler.ts';
import { type QueuePartition, tickSideBySide } from './tick-side-by-side.ts';

const continuationLimits = z.record(z.string(), z.number());

export const scheduledReport = z.object({
  reports: z.array(tickReport),
  left: z.array(z.string()).describe('The partitions without time, as `queue:partition`.'),
  maintenance: z
    .object({
      rolledUp: z.object({ steps: z.number(), rows: z.number(), more: z.boolean() }),
      pruned: pruneReport,
    })
    .nullable()
    .describe('Null except once a day.'),
  notConfigured: z.array(z.string()).describe('The queues whose provider is not set.'),
});

/** Ticks at the same time. If more partitions wait, they share the time: see `tickSideBySide`. */
const concurrency = 16;

/**
 * Ticks every queue, and each partition with due rows, within one budget; once a UTC day it also rolls up and prunes. For plans and schedulers
 * that allow one entry.
 *
 * The body is `{ reports: [TickReport], left, maintenance, notConfigured }`. `left` names the partitions without time as `queue:partition`,
 * `maintenance` is null except once a day, and `notConfigured` names the queues whose provider is not set. A queue that fails does not stop
 * the others: its error is the `fault`. If no queue is configured, the first's `NotConfiguredError` is thrown.
 */
export function scheduledHandler(queues: readonly AnyQueue[]): CronHandler {
  return async (services, call) => {
    const { configured, missing } = split(queues, services.env);
    if (configured.length === 0 && missing[0]) throw missing[0].error;
    const limits =
      call.continuation === 0
        ? null
        : continuationLimits.parse(await services.rpc('list_continuation_limits', {}));
    // Queues that allow fewer continuations wait for the next slot.
    const wanted = configured.filter(({ name }) => !limits || call.continuation <= (limits[name] ?? 0));
    const partitions = inTurns(await Promise.all(wanted.map((queue) => duePartitions(services, queue))));
    const [{ reports, left, faults }, maintenance] = await Promise.all([
      tickSideBySide(partitions, services, call, concurrency),
      runMaintenance(services, admitsOf(services.ports.clock, call)).catch((error: unknown) => ({ error })),
    ]);
    if (maintenance !== null && 'error' in maintenance) faults.push(maintenance.error);
    // A NotConfiguredError without variables is a fault of the queue's code.
    faults.push(...missing.map(({ error }) => error).filter(({ variables }) => variables.length === 0));
    return {
      reports,
      fault: faults[0],
      body: {
        reports,
        left: left.map(({ queue, partition }) => `${queue.name}:${partition}`),
        maintenance,
        notConfigured: missing.map(({ queue }) => queue),
      },
    };
  };
}

function split(queues: readonly AnyQueue[], env: ServerEnv) {
  const missing: { queue: string; error: NotConfiguredError }[] = [];
  const configured = queues.filter((queue) => {
    const error = missingSettings(queue, env);
    if (error) missing.push({ queue: queue.name, error });
    return !error;
  });
  return { configured, missing };
}

/** The first partition of each queue, then the second of each: if time runs out, each queue has had some. */
function inTurns(lists: QueuePartition[][]): QueuePartition[] {
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, turn) => lists.flatMap((list) => list[turn] ?? [])).flat();
}

/** Named partitions have paths of their own, in other regions: of those queues only `main` is ticked here. */
async function duePartitions(services: Services, queue: AnyQueue): Promise<QueuePartition[]> {
  if (queue.partitions !== 'due') return [{ queue, partition: 'main', timeoutMs: queue.timeoutMs }];
  try {
    return (await readDuePartitions(services, queue.name)).map((partition) => ({ queue, ...partition }));
  } catch (error) {
    // The queue is not registered yet.
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Rolls up and prunes. Null if both are done for the day. */
async function runMaintenance(services: Services, admits: Admits) {
  const { rpc } = services;
  if (!z.boolean().parse(await rpc('is_maintenance_due', {}))) return null;
  const { steps, rows, more } = await rollUp(services, admits);
  const pruned = await prune(services, admits);
  if (!more && !pruned.more) await rpc('note_maintenance', {});
  return { rolledUp: { steps: steps.length, rows, more }, pruned };
}
