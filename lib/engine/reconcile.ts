import { z } from 'zod';
import { type Budget, startBudget } from './budget.ts';
import type { Clock } from './ports/clock.ts';
import type { Log } from './ports/log.ts';
import type { CheckedRow, Finding, QueueStore, UnknownRow } from './ports/queue-store.ts';
import type { StopSignal } from './ports/stop-signal.ts';
import type { Queue } from './queue.ts';
import { checksSchema } from './tick-report.ts';
import { transportable } from './transportable.ts';

/** Allowed for the two calls around a round of checks. */
const callsMs = 1_000;

/** The checks of one queue, and why they ended. */
export const reconcileReport = checksSchema.extend({
  queue: z.string(),
  ended: z.enum(['drained', 'budget', 'stopped']),
});

export type ReconcileReport = z.infer<typeof reconcileReport>;

interface Ports {
  store: QueueStore;
  clock: Clock;
  log: Log;
}

/**
 * Checks a queue's unknown rows that are due, in rounds, while a check fits into the limit. Runs beside ticks: a row that is being checked is
 * leased. Throws a `StoreError`; the lost findings are found again by the next check.
 */
export async function reconcile<Row, Deps, Env>(
  queue: Queue<Row, Deps, Env>,
  ports: Ports,
  options: { deps: Deps; limitMs: number; startedAt?: number; stop?: StopSignal },
): Promise<ReconcileReport> {
  const budget = startBudget(ports.clock, options.startedAt ?? ports.clock.now(), options.limitMs);
  return reconcileWithin(budget, queue, ports, options);
}

/** Checks within the rest of a tick's budget. */
export async function reconcileWithin<Row, Deps, Env>(
  budget: Budget,
  queue: Queue<Row, Deps, Env>,
  ports: Ports,
  { deps, stop }: { deps: Deps; stop?: StopSignal },
): Promise<ReconcileReport> {
  const report: ReconcileReport = { queue: queue.name, checked: 0, resolved: 0, ended: 'drained' };
  const providers = queue.providers?.(deps) ?? [];
  const leaseSeconds = budget.limitMs / 1_000 + 30;
  for (;;) {
    if (stop?.signal.aborted) return { ...report, ended: 'stopped' };
    if (!budget.admits(queue.timeoutMs, callsMs)) return { ...report, ended: 'budget' };
    const rows = await ports.store.takeUnknown({ queue: queue.name, providers, leaseSeconds });
    if (rows.length === 0) return report;
    const findings = await Promise.all(rows.map((row) => check(row, queue, ports, deps, stop?.signal)));
    const { checked, resolved } = await ports.store.settleFindings(queue.name, findings);
    report.checked += checked;
    report.resolved += resolved;
  }
}

/** Asks the provider about one row. Never throws. Ends after the queue's timeout or when `stop` fires; the row is checked again later. */
async function check<Row, Deps, Env>(
  unknown: UnknownRow,
  queue: Queue<Row, Deps, Env>,
  { clock, log }: Ports,
  deps: Deps,
  stop: AbortSignal | undefined,
): Promise<CheckedRow> {
  const { id, claimId, overSeconds, row, account, attemptedAt, evidence } = unknown;
  const controller = new AbortController();
  let end = (_why: string) => {};
  const isOver = new Promise<never>((_resolve, reject) => {
    end = (why) => {
      controller.abort(new DOMException(why, 'TimeoutError'));
      reject(new Error(why));
    };
  });
  const abort = () => end('the process ended before the check did');
  const cancel = clock.timer(queue.timeoutMs, () => end(`no answer within ${queue.timeoutMs} ms`));
  if (stop?.aborted) abort();
  else stop?.addEventListener('abort', abort, { once: true });
  try {
    const found = Promise.resolve().then(() => {
      if (!queue.reconcile) throw new Error(`${queue.name} has no reconcile`);
      const context = { deps, signal: controller.signal, log, account, attemptedAt, evidence };
      return queue.reconcile(queue.row.parse(row), context);
    });
    const finding = presentable(await Promise.race([found, isOver]), (reason) =>
      log.error({ id, queue: queue.name, reason }, 'a result is not JSON and was left out'),
    );
    return { id, claimId, overSeconds, finding, failed: false };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const finding: Finding = {
      proof: [],
      candidates: [],
      absentAfterMs: null,
      text: `the check failed: ${reason}`,
    };
    return { id, claimId, overSeconds, finding, failed: true };
  } finally {
    cancel();
    stop?.removeEventListener('abort', abort);
  }
}

/** Drops results that are not JSON. Throws if the value is not a finding. */
function presentable(finding: Finding, dropResult: (reason: string) => void): Finding {
  const proof = finding.proof.map(({ messageId, result }) => ({
    messageId,
    result: transportable(result, dropResult),
  }));
  return { ...finding, proof };
}
