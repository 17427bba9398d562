import type { EnrolmentChange, Transition } from '../recorder.ts';
import type { FinishedRun } from '../run-simulation.ts';
import { told8601 } from '../sequence-reckoning.ts';
import type { Violation } from './violation.ts';

const live = new Set(['pending', 'running', 'unknown']);
const lawful: Record<string, string[]> = {
  in_progress: ['waiting_reply', 'replied', 'completed', 'stopped', 'failed'],
  waiting_reply: ['in_progress', 'replied', 'completed', 'stopped', 'failed'],
  // Resumed, or proved to have been sent after all.
  failed: ['in_progress', 'waiting_reply', 'replied', 'completed', 'stopped'],
  replied: [],
  // Its last message turned out not to have arrived.
  completed: ['failed'],
  stopped: [],
};

/**
 * After every transaction: an enrolment that waits for its message has that one row and no other that may still be claimed, one that has
 * none says when it goes on or that it waits for somebody, one that is over has none that may be claimed, and no step has two rows that
 * may yet be sent or were.
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
      if (before && before.phase !== change.phase && !lawful[before.phase]?.includes(change.phase)) {
        const details = `enrolment ${change.enrolmentId} went from ${before.phase} to ${change.phase} at ${told8601(change.at)}`;
        violations.push({ invariant: 'only lawful phases', details });
      }
      enrolments.set(change.enrolmentId, change);
      touched.add(change.enrolmentId);
    }
    if (all[n + 1]?.call === change.call) continue;
    for (const id of touched) {
      for (const fault of faultsOf(id)) {
        violations.push({
          invariant: 'messages and enrolments agree',
          details: `enrolment ${id} after call ${change.call} at ${told8601(change.at)}: ${fault}`,
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
    if (!enrolment) return ['it has messages, and is not there'];
    const { phase, to, messageId, nextStepAt, paused, action } = enrolment;
    const statuses = messages.get(id) ?? new Map<string, string>();
    const faults: string[] = [];
    const isOver = phase !== 'in_progress' && phase !== 'waiting_reply';
    const isRunning = to === 'pending' || to === 'running';
    if (isOver === isRunning) faults.push(`it is ${phase} and ${to}`);
    const claimable = [...statuses].filter(([, status]) => status === 'pending').map(([rowId]) => rowId);
    const unwanted = claimable.filter((rowId) => isOver || rowId !== messageId);
    if (unwanted.length > 0)
      faults.push(`${phase}, it waits for ${messageId}, and row ${unwanted.join(', ')} may be claimed`);
    if (!isOver && messageId !== null && !live.has(statuses.get(messageId) ?? 'gone'))
      faults.push(`it waits for row ${messageId}, which is ${statuses.get(messageId) ?? 'not there'}`);
    if (!isOver && messageId !== null && nextStepAt !== null)
      faults.push('it waits for its message, and is due');
    const waits = paused || (phase === 'waiting_reply' && action === 'advance');
    if (!isOver && messageId === null && nextStepAt === null && !waits) faults.push('it waits for nothing');
    if (paused && claimable.length > 0)
      faults.push(`it is paused, and row ${claimable.join(', ')} may be claimed`);
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
