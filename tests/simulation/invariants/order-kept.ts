import type { Transition } from '../recorder.ts';
import type { FinishedRun, PacedRun } from '../run-simulation.ts';
import { chatWith, hour } from '../world.ts';
import type { Violation } from './violation.ts';

/** The longest that a limit of the provider holds an account's rows to one addressee. */
const maxHoldMs = 2 * hour;

/**
 * Within an account no row overtakes one that was due earlier, unless the earlier row's addressee is limited, or the earlier row came back
 * from `unknown` or was put back to pending by hand while it ran. Such a row may already be reported as delivered, and then it waits for the
 * tick that records it.
 */
export function orderKept(run: FinishedRun): Violation[] {
  return [run, run.posts].flatMap(overtaken);
}

function overtaken({ transitions, calls, intents, world }: PacedRun): Violation[] {
  const violations: Violation[] = [];
  const pending = new Map<string, Map<string, Transition>>(world.accounts.map(({ id }) => [id, new Map()]));
  const cameBack = new Set<string>();
  const limits = calls.filter(({ fault }) => fault === 'pair limited');
  const isHeld = (rowId: string, at: number) => {
    const intent = intents.get(rowId);
    if (!intent) return false;
    return limits.some(
      (call) =>
        call.accountId === intent.account.provider_account_id &&
        call.chatId === chatWith(intent) &&
        call.at <= at &&
        at < call.at + maxHoldMs,
    );
  };
  for (const transition of transitions) {
    const { rowId, accountId, from, to, at } = transition;
    const rows = pending.get(accountId);
    if (!rows) continue;
    if (from === 'unknown' || (from === 'running' && transition.byHand === 'pending again'))
      cameBack.add(rowId);
    if (to === 'running' && from === 'pending' && !cameBack.has(rowId)) {
      const before = rows.get(rowId);
      for (const other of rows.values()) {
        if (
          !before ||
          other.rowId === rowId ||
          !isBefore(other, before) ||
          (other.dueAt ?? Number.POSITIVE_INFINITY) > at
        )
          continue;
        if (
          (other.expiresAt ?? Number.POSITIVE_INFINITY) <= at ||
          (other.openUntil ?? Number.POSITIVE_INFINITY) <= at ||
          cameBack.has(other.rowId) ||
          isHeld(other.rowId, at)
        )
          continue;
        violations.push({
          invariant: 'the order in an account is kept',
          details: `row ${rowId} (${describeDue(before)}) was claimed at ${new Date(at).toISOString()} before row ${other.rowId} (${describeDue(other)})`,
        });
      }
    }
    if (to === 'pending') rows.set(rowId, transition);
    else rows.delete(rowId);
  }
  return violations;
}

function isBefore(a: Transition, b: Transition): boolean {
  if (a.priority !== b.priority) return a.priority < b.priority;
  const [due, otherDue] = [a.dueAt ?? Number.POSITIVE_INFINITY, b.dueAt ?? Number.POSITIVE_INFINITY];
  return due !== otherDue ? due < otherDue : Number(a.rowId) < Number(b.rowId);
}

function describeDue({ priority, dueAt }: Transition): string {
  return `priority ${priority}, due ${dueAt === null ? 'never' : new Date(dueAt).toISOString()}`;
}
