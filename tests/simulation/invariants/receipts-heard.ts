import type { FinishedRun } from '../run-simulation.ts';
import { hour } from '../world.ts';
import type { Violation } from './violation.ts';

const proves = new Set(['sent', 'delivered', 'read']);

/** A webhook that names a row is heard: at once by the settle that comes after it, and by the ticks in any case. */
export function receiptsHeard({ told, transitions, rows, world, handled }: FinishedRun): Violation[] {
  const violations: Violation[] = [];
  const proof = new Map<string, number>();
  for (const { at, status, reference } of told) {
    if (reference && proves.has(status)) proof.set(reference, Math.min(at, proof.get(reference) ?? at));
  }
  const statuses = new Map(rows.filter(({ gone }) => gone === null).map(({ id, status }) => [id, status]));
  for (const [reference, at] of proof) {
    const [, rowId = '', claimId] = reference.split('/');
    if (handled.has(rowId)) continue;
    const own = transitions.filter((transition) => transition.rowId === rowId);
    const settled = own.find((transition) => transition.claimId === claimId && transition.to === 'unknown');
    const isSwept = settled?.lastError === 'the tick died while this row was running';
    if (settled && !isSwept && settled.at > at) {
      const next = own[own.indexOf(settled) + 1];
      if (next?.to !== 'done' || next.at !== settled.at) {
        violations.push({
          invariant: 'webhooks are heard (at the settle)',
          details: `row ${rowId} became unknown at ${new Date(settled.at).toISOString()}, and was told to be sent at ${new Date(at).toISOString()}`,
        });
      }
    }
    const status = statuses.get(rowId);
    if (status === undefined) continue;
    if (at < world.endAt - 2 * hour && status !== 'done') {
      violations.push({
        invariant: 'webhooks are heard (in the end)',
        details: `row ${rowId} is ${status}, and was told to be sent at ${new Date(at).toISOString()} (${reference})`,
      });
    }
  }
  return violations;
}
