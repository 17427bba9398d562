import { groupBy, iso8601 } from '../enrolment-stories.ts';
import type { JobRun } from '../job-model.ts';
import type { Transition } from '../recorder.ts';
import type { FinishedRun, JobsRun } from '../run-simulation.ts';
import { hour, second } from '../world.ts';
import type { Violation } from './violation.ts';

/**
 * By the record of the system that jobs work on:
 *
 * - A done job took effect, and a job runs only under its own claim.
 * - No job is dead before its attempts are used up.
 * - A recurring job keeps its interval.
 * - Jobs run by priority and then by due time, and a blocking queue runs one job at a time.
 */
export function jobsDone({ jobs }: FinishedRun): Violation[] {
  const transitions = groupBy(jobs.transitions, ({ rowId }) => rowId);
  const runs = groupBy(jobs.runs, ({ rowId }) => rowId);
  return [
    ...[...transitions].flatMap(([id, own]) => faultsOf(jobs, id, own, runs.get(id) ?? [])),
    ...overtaken(jobs),
    ...sideBySide(jobs),
  ];
}

function faultsOf(jobs: JobsRun, id: string, transitions: Transition[], runs: JobRun[]): Violation[] {
  const { world, drawn: all, handled, moved } = jobs;
  const drawn = all.get(id);
  const last = transitions.at(-1);
  if (!drawn || !last) return [];
  const fault = (invariant: string, details: string) => [
    { invariant, details: `job ${id} (${drawn.name}, ${drawn.queue}): ${details}` },
  ];
  const leases = transitions.filter(({ to }) => to === 'running');
  const unclaimed = runs.find(
    ({ startedAt }) =>
      !leases.some(({ at, leaseExpiresAt }) => at <= startedAt && startedAt <= (leaseExpiresAt ?? 0)),
  );
  if (unclaimed) return fault('a job runs only under its claim', `it ran at ${iso8601(unclaimed.startedAt)}`);
  const effects = runs.filter(({ doneAt }) => doneAt !== null && doneAt <= last.at).length;
  if (handled.has(id)) return [];
  if (last.to === 'done' && effects < drawn.times)
    return fault('a done job took effect', `it took effect ${effects} times of ${drawn.times}`);
  if (last.to === 'dead' && last.lastError !== 'expired before it could start') {
    const isRefused = runs.some(({ fault }) => fault === 'for good');
    if (!isRefused && last.attempts < (drawn.maxAttempts ?? 5))
      return fault(
        'no job is dead before its attempts are used up',
        `${last.lastError} after ${last.attempts} attempts`,
      );
  }
  const due = last.dueAt ?? Number.POSITIVE_INFINITY;
  // A person may postpone the head of a blocking queue, and with it all jobs behind it.
  const isBehind =
    last.part === 'blocking' &&
    jobs.transitions.some(({ byHand, part }) => byHand !== null && part === 'blocking');
  if (last.to === 'pending' && due < world.endAt - hour && !isBehind)
    return fault('no row is lost (a due job is not claimed)', `due since ${iso8601(due)}`);
  return transitions.flatMap((transition, n) => {
    const before = transitions[n - 1];
    // Only reschedules; a retry has an error.
    if (before?.to !== 'running' || transition.to !== 'pending' || transition.lastError !== null) return [];
    if (
      transition.byHand !== null ||
      transition.attempts > 0 ||
      transition.dueAt === null ||
      drawn.name !== 'recurring'
    )
      return [];
    if (moved.has(id)) return [];
    const every = drawn.everySeconds * second;
    const isOn = (transition.dueAt - drawn.dueAt) % every === 0;
    // A released job keeps its due time.
    if (isOn && (transition.dueAt === before.dueAt || isNext(transition.dueAt, before.at, every))) return [];
    return fault(
      'a recurring job keeps its interval',
      `due at ${iso8601(transition.dueAt)} after ${iso8601(before.at)}`,
    );
  });
}

const isNext = (dueAt: number, claimedAt: number, every: number) =>
  dueAt > claimedAt && dueAt - every <= claimedAt;

/** In each database call, no job that stays pending comes before a job that was claimed. */
function overtaken({ transitions }: JobsRun): Violation[] {
  const pending = new Map<string, Transition>();
  const violations: Violation[] = [];
  for (const [, call] of groupBy(transitions, ({ call }) => `${call}`)) {
    const claimed = call
      .filter(({ to }) => to === 'running')
      .map((claim) => pending.get(claim.rowId) ?? claim);
    for (const transition of call) {
      if (transition.to === 'pending') pending.set(transition.rowId, transition);
      else pending.delete(transition.rowId);
    }
    const at = call[0]?.at ?? 0;
    for (const one of claimed) {
      if (one.part === 'blocking') continue;
      for (const other of pending.values()) {
        if (
          other.part !== one.part ||
          (other.dueAt ?? Number.POSITIVE_INFINITY) > at ||
          !isBefore(other, one)
        )
          continue;
        if ((other.expiresAt ?? Number.POSITIVE_INFINITY) <= at || call.includes(other)) continue;
        const details = `job ${one.rowId} was claimed at ${iso8601(at)} before job ${other.rowId} of ${one.part}`;
        violations.push({ invariant: 'jobs run by priority, then by due time', details });
      }
    }
  }
  return violations;
}

function isBefore(a: Transition, b: Transition): boolean {
  if (a.priority !== b.priority) return a.priority < b.priority;
  return (a.dueAt ?? 0) !== (b.dueAt ?? 0)
    ? (a.dueAt ?? 0) < (b.dueAt ?? 0)
    : Number(a.rowId) < Number(b.rowId);
}

/** In the blocking queue, no job is claimed until the one that started is finished. */
function sideBySide({ transitions }: JobsRun): Violation[] {
  let started: string | null = null;
  return transitions.flatMap(({ part, rowId, to, at, attempts }) => {
    if (part !== 'blocking') return [];
    const other = started;
    if (to === 'running') started = rowId;
    // A released job had not started.
    else if (rowId === started && (['done', 'dead', 'cancelled', 'gone'].includes(to) || attempts === 0))
      started = null;
    if (to !== 'running' || other === null || other === rowId) return [];
    const details = `job ${rowId} was claimed at ${iso8601(at)}, but job ${other} is not finished`;
    return [{ invariant: 'a blocking queue runs one job at a time', details }];
  });
}
