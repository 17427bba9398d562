import type { Transition } from '../recorder.ts';
import type { PacedRun } from '../run-simulation.ts';

/** Returns a function that tells whether a change of a row follows a call that the provider refused. */
export function refusedIn({ brought }: PacedRun): (transition: Transition) => boolean {
  const settled = brought.filter(({ refused, verdict }) => refused !== null && verdict === 'applied');
  const refused = new Set(settled.map(({ call, rowId }) => `${call}/${rowId}`));
  return ({ call, rowId, from }) => from === 'running' && refused.has(`${call}/${rowId}`);
}
