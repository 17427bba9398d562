import type { Clock } from './ports/clock';

/**
 * Kept free at the end of a tick: 3 s for a cold start that the platform counted before our first line, two
 * exchanges of 5 s, and the answer.
 */
export const marginMs = 15_000;

/** How long a tick of this limit works before it only ends. */
export const workMs = (limitMs: number): number => limitMs - marginMs;

/** Beside its rows a tick has a first claim and an end. */
export const overheadMs = 2_000;

/** The longest that one attempt may take, in a tick of this limit. */
export const longestAttemptMs = (limitMs: number): number => workMs(limitMs) - overheadMs;

/** How much of a tick is left, and what still fits into it. All times in milliseconds. */
export interface Budget {
  readonly limitMs: number;
  /** Nothing may be under way after this. */
  readonly abortAt: number;
  /** The platform ends the function here. */
  readonly limitAt: number;
  /** How long it works from its start, in all. */
  readonly workMs: number;
  usedMs(): number;
  /** Makes it shorter: work ends at this instant at the latest. */
  endBy(at: number): void;
  /** The function ends at this instant, if not before: somebody else ends it than the platform's clock. */
  limitTo(at: number): void;
  /** Whether an attempt that may take `timeoutMs` still fits, started `laterMs` from now. */
  admits(timeoutMs: number, laterMs?: number): boolean;
}

/** `startedAt` is the first line of the handler; `limitMs` the platform's limit, counted from there. */
export function startBudget(clock: Clock, startedAt: number, limitMs: number): Budget {
  let abortAt = startedAt + workMs(limitMs);
  let limitAt = startedAt + limitMs;
  return {
    limitMs,
    get abortAt() {
      return abortAt;
    },
    get limitAt() {
      return limitAt;
    },
    get workMs() {
      return Math.round(abortAt - startedAt);
    },
    usedMs: () => Math.round(clock.now() - startedAt),
    endBy: (at) => {
      abortAt = Math.min(abortAt, at);
    },
    limitTo: (at) => {
      limitAt = Math.min(limitAt, at);
    },
    admits: (timeoutMs, laterMs = 0) => clock.now() + laterMs + timeoutMs <= abortAt,
  };
}

/**
 * Whether a row may still start under its lease. Counted from when the claim was *requested*: the lease began
 * at some later moment, so this never starts a row whose lease could end before it does.
 */
export function leaseAdmits(
  clock: Clock,
  claimRequestedAt: number,
  leaseMs: number,
  timeoutMs: number,
): boolean {
  return clock.now() - claimRequestedAt + timeoutMs < leaseMs;
}
