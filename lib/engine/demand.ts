/** The delivery of a queue, and its concurrency. */
interface Running {
  delivery: 'at-most-once' | 'at-least-once';
  concurrency: number;
}

/** The most rows that are claimed ahead because they are quick. */
const quickRows = 200;
/** The calls in whose time a row is slow: an empty slot then matters less than a row that a crash leaves uncertain. */
const slowRow = 10;
/** How long an outcome waits for others to share its call. */
const groupMs = { 'at-most-once': 250, 'at-least-once': 20 };
/** Under at-most-once, the share of a row's time that its outcome waits, because a slot is free meanwhile. */
const groupShare = 0.02;

/**
 * How many rows a tick should have claimed, so that a free slot need not wait for a call: those that run, and some that are ready to start.
 *
 * - At-most-once: a crash leaves every claimed row uncertain. So no row is ready if a row takes ten calls or longer. If rows are quicker, as many are
 *   ready as end during three calls, and never more than run.
 * - At-least-once: twice as many are ready as run. If rows are quick, as many as end during four calls, up to 200. In all no more than the rest of the
 *   budget can finish.
 *
 * All times are in milliseconds: `callMs` a call, `rowMs` a typical row and `longRowMs` a long one, `leftMs` the rest of the budget.
 */
export function targetRows(
  { delivery, concurrency }: Running,
  times: { callMs: number; rowMs: number; longRowMs: number; leftMs: number },
): number {
  const endPerCall = (concurrency * times.callMs) / Math.max(1, times.rowMs);
  if (delivery === 'at-most-once') {
    const areQuick = times.rowMs < slowRow * times.callMs;
    return concurrency + (areQuick ? Math.min(concurrency, Math.floor(3 * endPerCall)) : 0);
  }
  const ahead = Math.max(2 * concurrency, Math.min(quickRows, Math.ceil(4 * endPerCall)));
  const finishable = Math.floor(times.leftMs / Math.max(1, times.longRowMs)) * concurrency;
  return Math.max(concurrency, Math.min(concurrency + ahead, finishable));
}

/** Under at-least-once a call claims half of the target, so that the rows of one call run while the next is in flight. */
export function mostOfCall({ delivery, concurrency }: Running, target: number): number {
  return delivery === 'at-most-once' ? target : Math.max(concurrency, Math.ceil(target / 2));
}

/** The fewest rows for which a call is worth while others run: a third of the target, or half of the slots or of those that are ready. */
export function leastOfCall({ delivery, concurrency }: Running, target: number): number {
  return delivery === 'at-most-once' ? (target - concurrency || concurrency) / 2 : target / 3;
}

/** How long an outcome waits for others to share its call, in milliseconds. */
export function outcomeGroupMs(delivery: Running['delivery'], rowMs: number): number {
  const least = groupMs['at-least-once'];
  return Math.min(groupMs[delivery], Math.max(least, Math.ceil(groupShare * rowMs)));
}
