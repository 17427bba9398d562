import { iso8601 } from '../enrolment-stories.ts';
import type { EnrolmentChange, Transition } from '../recorder.ts';
import type { FinishedRun } from '../run-simulation.ts';
import type { Violation } from './violation.ts';

const live = new Set(['pending', 'running', 'unknown']);
const valid: Record<string, string[]> = {
  in_progress: ['waiting_reply', 'replied', 'completed', 'stopped', 'failed'],
  waiting_reply: ['in_progress', 'replied', 'completed', 'stopped', 'failed'],
  // A person resumed it, or proof of the send came later.
  failed: ['in_progress', 'waiting_reply', 'replied', 'completed', 'stopped'],
  replied: [],
  // Its last message turned out to be undeliverable.
  completed: ['failed'],
  stopped: [],
};

/**
 * After every transaction:
 *
 * - An enrolment that waits for its message has that row and no other that may be claimed.
 * - One without a message has its next due time, or waits for a person.
 * - One that is over has no row that may be claimed.
 * - No step has two rows that were sent or may be.
 */
export function messagesAndEnrolmentsAgree({
  transitions,
  enrolmentChanges,
  rows,
}: FinishedRun): Violation[] {
  const violations: Violation[] = [];
  const own = new Map(rows.filter(({ enrolmentId }) => enrolmentId !== null).map((row) => [row.id, row]));
  const enrolments = new Map<string, EnrolmentChange>();
  const messages = new Map<string, Map<string, string>>();
  const all = [...transitions.filter(({ rowId }) => own.has(rowId)), ...enrolmentChanges].sort(
    (a, b) => a.place - b.place,
  );
  let touched = new Set<string>();
  for (const [n, change] of all.entries()) {
    if ('rowId' in change) touched.add(follow(change));
    else {
      const before = enrolments.get(change.enrolmentId);
      if (before && before.phase !== change.phase && !valid[before.phase]?.includes(change.phase)) {
        const details = `enrolment ${change.enrolmentId} went from ${before.phase} to ${change.phase} at ${iso8601(change.at)}`;
        violations.push({ invariant: 'only valid phase changes occur', details });
      }
      enrolments.set(change.enrolmentId, change);
      touched.add(change.enrolmentId);
    }
    if (all[n + 1]?.call === change.call) continue;
    for (const id of touched) {
      for (const fault of faultsOf(id)) {
        violations.push({
          invariant: 'messages and enrolments agree',
          details: `enrolment ${id} after call ${change.call} at ${iso8601(change.at)}: ${fault}`,
        });
      }
    }
    touched = new Set();
  }
  return violations;

  function follow({ rowId, to }: Transition): string {
    const id = own.get(rowId)?.enrolmentId ?? '';
    const statuses = messages.get(id) ?? new Map<string, string>();
    statuses.set(rowId, to);
    messages.set(id, statuses);
    return id;
  }

  function faultsOf(id: string): string[] {
    const enrolment = enrolments.get(id);
    if (!enrolment) return ['it has messages but does not exist'];
    const { phase, to, messageId, nextStepAt, paused, action } = enrolment;
    const statuses = messages.get(id) ?? new Map<string, string>();
    const faults: string[] = [];
    const isOver = phase !== 'in_progress' && phase !== 'waiting_reply';
    const isRunning = to === 'pending' || to === 'running';
    if (isOver === isRunning) faults.push(`it is ${phase} and ${to}`);
    const claimable = [...statuses].filter(([, status]) => status === 'pending').map(([rowId]) => rowId);
    const extra = claimable.filter((rowId) => isOver || rowId !== messageId);
    if (extra.length > 0)
      faults.push(`it is ${phase} with the message ${messageId}, but row ${extra.join(', ')} may be claimed`);
    if (!isOver && messageId !== null && !live.has(statuses.get(messageId) ?? 'gone'))
      faults.push(`it waits for row ${messageId}, which is ${statuses.get(messageId) ?? 'gone'}`);
    if (!isOver && messageId !== null && nextStepAt !== null)
      faults.push('it waits for its message but is due itself');
    const waits = paused || (phase === 'waiting_reply' && action === 'advance');
    if (!isOver && messageId === null && nextStepAt === null && !waits) faults.push('it waits for nothing');
    if (paused && claimable.length > 0)
      faults.push(`it is paused, but row ${claimable.join(', ')} may be claimed`);
    const taken = new Map<string, string>();
    for (const [rowId, status] of statuses) {
      if (!live.has(status) && status !== 'done') continue;
      const row = own.get(rowId);
      const key = `step ${row?.step}${row?.isReminder ? ', reminder' : ''}`;
      const other = taken.get(key);
      if (other !== undefined) faults.push(`${key} has the rows ${other} and ${rowId}`);
      taken.set(key, rowId);
    }
    return faults;
  }
}
