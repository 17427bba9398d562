/** The events of a row, in words. */
const EVENTS: Record<string, string> = {
  created: 'Created',
  claimed: 'Claimed',
  done: 'Done',
  retry: 'Failed, will be retried',
  dead: 'Failed for good',
  unknown: 'Unknown whether it worked',
  swept: 'Swept after its tick died',
  expired: 'Expired',
  restored: 'Marked unknown after a restore of the database',
  checked: 'Checked',
  left_out: 'Settled without its result',
  proved: 'Proof that it worked',
  absent: 'Proof that it did not work',
  receipt: 'Receipt from the provider',
  decided: 'Decided',
  action: 'Changed',
  late: 'Late proof',
  twice: 'Delivered twice',
  error: 'Error',
};

/** Who changes rows without a person. */
const MACHINES: Record<string, string | null> = {
  tick: 'by a tick',
  attempt: null,
  sweep: null,
  expiry: null,
  receipt: null,
  check: 'by a check',
};

export function eventWords(event: string): string {
  return EVENTS[event] ?? event;
}

/** Says who made a change; null if the event says it, or if it is not known. */
export function byWords(by: string | null): string | null {
  if (by === null) return null;
  const machine = MACHINES[by];
  return machine === undefined ? `by ${by}` : machine;
}

/** Returns the ids of the actions that events name, each once. */
export function actionIds(events: { event: string; text: string | null }[]): string[] {
  const ids = events.flatMap(({ text }) => /\(action (\d+)\)/.exec(text ?? '')?.[1] ?? []);
  return [...new Set(ids)];
}
