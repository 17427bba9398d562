import type { FinishedRun } from '../run-simulation.ts';
import { hour } from '../world.ts';
import type { Violation } from './violation.ts';

const proves = new Set(['sent', 'delivered', 'read']);

/** A receipt that names a row is applied: at once by a settle that comes after it, and in any case by a tick. */
export function receiptsApplied({ receipts, transitions, rows, world, handled }: FinishedRun): Violation[] {
  const violations: Violation[] = [];
  const proof = new Map<string, number>();
  for (const { at, status, reference } of receipts) {
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
          invariant: 'receipts are applied (at the settle)',
          details: `row ${rowId} became unknown at ${new Date(settled.at).toISOString()}, although a receipt at ${new Date(at).toISOString()} proved the send`,
        });
      }
    }
    const status = statuses.get(rowId);
    if (status === undefined) continue;
    if (at < world.endAt - 2 * hour && status !== 'done') {
      violations.push({
        invariant: 'receipts are applied (by the end)',
        details: `row ${rowId} is ${status}, although a receipt at ${new Date(at).toISOString()} proved the send (${reference})`,
      });
    }
  }
  return violations;
}
