import type { FinishedRun } from '../run-simulation';
import type { Violation } from './violation';

/**
 * Where a row may go from where. Proof that a message went out prevails over whatever was made of the row meanwhile; a message that
 * went out may yet turn out not to have arrived.
 */
const lawful: Record<string, string[]> = {
  new: ['pending'],
  pending: ['pending', 'sending', 'cancelled', 'failed', 'sent'],
  sending: ['sent', 'failed', 'unknown', 'pending'],
  unknown: ['sent', 'failed', 'pending', 'cancelled'],
  failed: ['sent'],
  cancelled: ['sent'],
  sent: ['failed'],
};

export function lawfulTransitions({ transitions }: FinishedRun): Violation[] {
  return transitions
    .filter(({ from, to }) => !lawful[from ?? 'new']?.includes(to))
    .map(({ rowId, from, to, at }) => ({
      invariant: 'only lawful transitions',
      details: `row ${rowId} went from ${from} to ${to} at ${new Date(at).toISOString()}`,
    }));
}
