import type { Clock } from './ports/clock.ts';

/**
 * Reserved at the end of a tick: 3 s for a cold start that the platform counts before the handler's first line, two exchanges of 5 s each, and
 * the response.
 */
export const marginMs = 15_000;

/** How long a tick with this limit works before it ends. */
export const workMs = (limitMs: number): number => limitMs - marginMs;

/** Reserved for the tick's first claim and its end. */
export const overheadMs = 2_000;

/** The longest attempt that fits into a tick with this limit. */
export const longestAttemptMs = (limitMs: number): number => workMs(limitMs) - overheadMs;

/** The time that a tick has left. All times are in milliseconds. */
export interface Budget {
  readonly limitMs: number;
  /** No attempt may run after this instant. */
  readonly abortAt: number;
  /** The platform kills the function at this instant. */
  readonly limitAt: number;
  /** The length of the working time, from the start. */
  readonly workMs: number;
  usedMs(): number;
  /** Shortens the working time so that it ends by this instant. */
  endBy(at: number): void;
  /** Makes the function end by this instant, because something other than the platform's limit ends it. */
  limitTo(at: number): void;
  /** Whether an attempt of up to `timeoutMs` that starts in `laterMs` still fits. */
  admits(timeoutMs: number, laterMs?: number): boolean;
}

/** Starts a budget of `limitMs`, the platform's limit, counted from `startedAt`, the time of the handler's first line. */
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
 * Whether an attempt of up to `timeoutMs` ends before its row's lease does. The lease began after the claim was requested, so counting from
 * the request is safe.
 */
export function leaseAdmits(
  clock: Clock,
  claimRequestedAt: number,
  leaseMs: number,
  timeoutMs: number,
): boolean {
  return clock.now() - claimRequestedAt + timeoutMs < leaseMs;
}
