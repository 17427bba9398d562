import type { FinishedRun } from '../run-simulation.ts';

/** Returns the instants at which a pause was lifted or shortened. */
export function restartsOf({ settings }: FinishedRun, subject: string): number[] {
  let before = 0;
  return settings
    .filter((change) => change.subject === subject)
    .flatMap(({ at, settings: { paused_until: value } }) => {
      const until = value === null ? 0 : Date.parse(value);
      const isEarlier = until < before;
      before = until;
      return isEarlier ? [at] : [];
    });
}
