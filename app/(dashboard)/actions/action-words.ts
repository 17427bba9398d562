import type { State } from '@/components/state-badge.tsx';
import type { Action } from '@/lib/operate/rows/actions.ts';
import { plural } from '@/lib/stats/plural.ts';
import type { QueueStats } from '@/lib/store/stats.ts';

export type ActionName = Action['action'];

/** What a person does to rows, as a button says it. */
export const VERBS: Record<ActionName, string> = {
  retry: 'Retry',
  retry_now: 'Retry now',
  reschedule: 'Reschedule',
  prioritise: 'Change priority',
  cancel: 'Cancel',
  delete: 'Delete',
};

/** What an act does, as the page that confirms it says. */
export const EFFECTS: Record<ActionName, string> = {
  retry:
    'Back to pending, with new attempts. Messages go out within the limits of their accounts, the earliest due first.',
  retry_now: 'Ends the wait for the next attempt: the next tick may claim the row.',
  reschedule: 'Moves the due time.',
  prioritise: 'Among due rows, those of a higher priority are claimed first.',
  cancel: 'A cancelled row is never run, unless somebody retries it.',
  delete: 'Deletes rows with their content. This cannot be undone.',
};

const ACTS: Record<State, ActionName[]> = {
  pending: ['retry_now', 'reschedule', 'prioritise', 'cancel'],
  running: [],
  done: ['delete'],
  // Unknown rows are decided one by one.
  unknown: [],
  dead: ['retry', 'delete'],
  cancelled: ['retry', 'delete'],
};

/** Returns what a person may do to rows of these states, in the order of `VERBS`. */
export function actsOn(states: readonly State[], delivery: QueueStats['delivery']): ActionName[] {
  const acts = new Set(states.flatMap((state) => ACTS[state]));
  if (delivery === 'at-least-once' && states.includes('done')) acts.add('retry');
  return (Object.keys(VERBS) as ActionName[]).filter((act) => acts.has(act));
}

/** Says why an action leaves rows as they are. */
export function leftWords(reason: string, count: number): string {
  const rows = plural(count, 'row');
  const one = count === 1;
  switch (reason) {
    case 'may_have_been_sent':
      return `${rows} may have been sent: left as ${one ? 'it is' : 'they are'}`;
    case 'expired':
      return `${rows} would expire before ${one ? 'it is' : 'they are'} tried`;
    case 'sequence':
      return `${rows} ${one ? 'belongs' : 'belong'} to a sequence, which decides when ${one ? 'it is' : 'they are'} sent`;
    case 'not_waiting':
      return `${rows} ${one ? 'waits' : 'wait'} for no retry`;
    case 'still_needed':
      return `${rows} ${one ? 'is' : 'are'} still needed to prove another message`;
    default:
      return `${rows}: ${reason}`;
  }
}

/** Says why an action skipped rows that it had taken. */
export function skipWords(reason: string): string {
  if (reason === 'gone') return 'deleted before their turn';
  return reason === 'changed' ? 'changed by something else before their turn' : reason;
}

/** Says an action in words: `Retry 502 rows`. */
export function actionTitle({ action, total, state }: Pick<Action, 'action' | 'total' | 'state'>): string {
  const rows = `${state === 'collecting' ? 'more than ' : ''}${plural(total, 'row')}`;
  return action === 'prioritise' ? `Change the priority of ${rows}` : `${VERBS[action]} ${rows}`;
}

/** Says the state of an action. */
export function stateWords({ state, written, total }: Pick<Action, 'state' | 'written' | 'total'>): string {
  switch (state) {
    case 'collecting':
      return 'takes its rows';
    case 'running':
      return 'running';
    case 'waiting':
      return `waits for you after ${written.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}`;
    default:
      return state;
  }
}

export const STATE_TONES: Record<Action['state'], string> = {
  collecting: 'bg-busy-tint text-busy',
  running: 'bg-busy-tint text-busy',
  waiting: 'bg-warn-tint text-warn',
  done: 'bg-good-tint text-good',
  stopped: 'bg-bad-tint text-bad',
};
