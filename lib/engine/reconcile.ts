import { type Budget, startBudget } from './budget';
import type { Clock } from './ports/clock';
import type { Log } from './ports/log';
import type { CheckedRow, Finding, QueueStore, UnknownRow } from './ports/queue-store';
import type { Queue } from './queue';
import type { StopSignal } from './stop-signal';
import type { Checks } from './tick-report';
import { transportable } from './transportable';

/** What taking rows and bringing findings take beside the checks themselves. */
const callsMs = 1_000;

/** The unknown rows of one queue that were checked, and why no more were. */
export interface ReconcileReport extends Checks {
  queue: string;
  ended: 'drained' | 'budget' | 'stopped';
}

interface Ports {
  store: QueueStore;
  clock: Clock;
  log: Log;
}

/**
 * Checks the unknown rows of a queue that are due, round after round, for as long as a check fits into the limit. Runs beside any tick: a row that
 * was taken is not taken again before its lease ends. Throws a `StoreError`: a finding that could not be brought is made again.
 */
export async function reconcile<Row, Deps, Env>(
  queue: Queue<Row, Deps, Env>,
  ports: Ports,
  options: { deps: Deps; limitMs: number; startedAt?: number; stop?: StopSignal },
): Promise<ReconcileReport> {
  const budget = startBudget(ports.clock, options.startedAt ?? ports.clock.now(), options.limitMs);
  return reconcileWithin(budget, queue, ports, options);
}

/** The same within what a tick has left of its budget. */
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

/** Asks the provider about one row. Never throws; ends within the queue's timeout, or when the process is to end: a check costs nothing, and is made again. */
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
  const cut = () => end('the process ended before it was answered');
  const cancel = clock.timer(queue.timeoutMs, () => end(`no answer within ${queue.timeoutMs} ms`));
  if (stop?.aborted) cut();
  else stop?.addEventListener('abort', cut, { once: true });
  try {
    const asked = Promise.resolve().then(() => {
      if (!queue.reconcile) throw new Error(`${queue.name} has no reconcile`);
      const context = { deps, signal: controller.signal, log, account, attemptedAt, evidence };
      return queue.reconcile(queue.row.parse(row), context);
    });
    const finding = presentable(await Promise.race([asked, isOver]), (reason) =>
      log.error({ id, queue: queue.name, reason }, 'a result is no JSON, and was left out'),
    );
    return { id, claimId, overSeconds, finding, failed: false };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const finding: Finding = {
      proof: [],
      candidates: [],
      absentAfterMs: null,
      text: `it could not be found out: ${reason}`,
    };
    return { id, claimId, overSeconds, finding, failed: true };
  } finally {
    cancel();
    stop?.removeEventListener('abort', cut);
  }
}

/** With results that JSON carries. Throws where it is no finding. */
function presentable(finding: Finding, leaveOut: (reason: string) => void): Finding {
  const proof = finding.proof.map(({ messageId, result }) => ({
    messageId,
    result: transportable(result, leaveOut),
  }));
  return { ...finding, proof };
}
