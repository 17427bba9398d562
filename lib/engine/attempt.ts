import type { Outcome } from './outcome.ts';
import type { Clock } from './ports/clock.ts';

/** An attempt's outcome, and what it says about the provider. */
export interface Verdict {
  outcome: Outcome;
  /** `failed`: no usable response; `refused`: it refuses every call of ours; null: the outcome says nothing about it. */
  provider: 'answered' | 'failed' | 'refused' | null;
  /** The process was ending, or the machine had been suspended past the timeout. Says nothing about the provider. */
  wasCutShort?: boolean;
}

/** An attempt whose signal aborted has this long to return. Then it counts as uncertain. */
const graceMs = 250;

/** Maps a thrown error to an outcome by its `kind`. An error without one is uncertain: the attempt may have had its effect. */
function classifyError(error: unknown, delivery: 'at-most-once' | 'at-least-once'): Verdict {
  try {
    return classify(error, delivery);
  } catch {
    // A proxy or an object without a prototype may throw when it is read.
    return { outcome: uncertain('it threw a value that cannot be read', delivery), provider: null };
  }
}

function classify(error: unknown, delivery: 'at-most-once' | 'at-least-once'): Verdict {
  const { kind, code, retryAfterSeconds, scope } = (
    typeof error === 'object' && error !== null ? error : {}
  ) as {
    kind?: unknown;
    code?: unknown;
    retryAfterSeconds?: unknown;
    scope?: unknown;
  };
  const message = error instanceof Error ? error.message : String(error);
  const after =
    typeof retryAfterSeconds === 'number' && retryAfterSeconds >= 0 ? retryAfterSeconds : undefined;
  switch (kind) {
    case 'rejected':
      return {
        outcome: { kind: 'dead', error: message, refusal: isCode(code) ? String(code) : message },
        provider: 'answered',
      };
    case 'account_refused': {
      const refused = scope === 'provider' ? 'provider' : 'account';
      // The refusal of one account says that the provider is up.
      return {
        outcome: { kind: 'retry', error: message, refused, ...(isCode(code) && { refusal: String(code) }) },
        provider: refused === 'provider' ? 'refused' : 'answered',
      };
    }
    case 'rate_limited': {
      return {
        outcome: {
          kind: 'retry',
          error: message,
          afterSeconds: after,
          rateLimited: true,
          scope: scope === 'pair' ? 'pair' : 'account',
        },
        provider: 'answered',
      };
    }
    case 'not_sent':
      return { outcome: { kind: 'retry', error: message, afterSeconds: after }, provider: 'failed' };
    case 'uncertain':
      return { outcome: uncertain(message, delivery), provider: 'failed' };
    default:
      return { outcome: uncertain(message, delivery), provider: null };
  }
}

const kinds = new Set<unknown>(['rejected', 'account_refused', 'rate_limited', 'not_sent', 'uncertain']);

/** Whether an error has one of our kinds. */
export function hasKind(error: unknown): boolean {
  try {
    return kinds.has(Object(error).kind);
  } catch {
    return false;
  }
}

const isCode = (code: unknown) => typeof code === 'string' || typeof code === 'number';

function uncertain(error: string, delivery: 'at-most-once' | 'at-least-once'): Outcome {
  return delivery === 'at-most-once' ? { kind: 'unknown', error } : { kind: 'retry', error };
}

const outcomeKinds = new Set(['done', 'retry', 'again', 'dead', 'unknown']);

/** Checks what `perform` returned. Anything but an outcome is uncertain. */
function checkReturned(value: unknown, delivery: 'at-most-once' | 'at-least-once'): Verdict {
  const outcome = value as Outcome | undefined;
  if (typeof outcome !== 'object' || outcome === null || !outcomeKinds.has(outcome.kind)) {
    return { outcome: uncertain('perform returned no outcome', delivery), provider: null };
  }
  if (outcome.kind === 'again' && !(outcome.afterSeconds > 0 && Number.isFinite(outcome.afterSeconds))) {
    return {
      outcome: { kind: 'dead', error: 'perform returned `again` without a positive afterSeconds' },
      provider: null,
    };
  }
  return { outcome, provider: 'answered' };
}

interface AttemptOptions {
  clock: Clock;
  timeoutMs: number;
  delivery: 'at-most-once' | 'at-least-once';
  /** Holds a function that aborts the attempt while it runs. */
  aborts: Set<() => void>;
  /** Called if the attempt ends after it counted as uncertain. */
  onLate(verdict: Verdict): void;
}

/** One run of `perform`. Few objects are made for each, because a tick may run a hundred thousand. */
export class Attempt {
  private readonly endsAt: number;
  private controller: AbortController | null = null;
  /** Why the signal aborted; null before. */
  private reason: DOMException | null = null;
  private isLate = false;
  private wasCutShort = false;
  private cancel: () => void = () => {};
  private resolve: (verdict: Verdict) => void = () => {};
  private readonly abort = () => {
    this.wasCutShort = true;
    this.expire('the process ends', 'the process ended before the attempt did');
  };

  constructor(private readonly options: AttemptOptions) {
    this.endsAt = options.clock.now() + options.timeoutMs;
  }

  /**
   * Aborts after `timeoutMs`. `throwIfAborted()` also reads the clock, because timers stand still while a machine is suspended. Made when a handler
   * first reads it: most handlers of quick rows never do.
   */
  get signal(): AbortSignal {
    if (this.controller) return this.controller.signal;
    this.controller = new AbortController();
    const { signal } = this.controller;
    if (this.reason) this.controller.abort(this.reason);
    signal.throwIfAborted = () => {
      if (this.options.clock.now() >= this.endsAt && !signal.aborted) this.abort();
      AbortSignal.prototype.throwIfAborted.call(signal);
    };
    return signal;
  }

  /** Whether the error is the one with which the signal aborted. */
  isReason(error: unknown): boolean {
    return this.reason !== null && error === this.reason;
  }

  /** Runs `perform` and resolves in time: `graceMs` after the signal aborts, the attempt counts as uncertain. Call it once. */
  run(perform: () => Promise<Outcome> | Outcome): Promise<Verdict> {
    const { clock, timeoutMs, delivery, aborts } = this.options;
    return new Promise((resolve) => {
      this.resolve = resolve;
      this.cancel = clock.timer(timeoutMs, () =>
        this.expire(`the attempt's ${timeoutMs} ms are over`, `no answer within ${timeoutMs} ms`),
      );
      aborts.add(this.abort);
      // Also catches an attempt that throws before its first await.
      new Promise<Outcome>((begin) => begin(perform())).then(
        (value) => this.settle(checkReturned(value, delivery)),
        (error) => this.settle(classifyError(error, delivery)),
      );
    });
  }

  private expire(why: string, error: string): void {
    const { clock, aborts, delivery } = this.options;
    aborts.delete(this.abort);
    this.cancel();
    this.reason = new DOMException(why, 'TimeoutError');
    this.controller?.abort(this.reason);
    this.cancel = clock.timer(graceMs, () => {
      this.isLate = true;
      this.resolve(this.asVerdict({ outcome: uncertain(error, delivery), provider: 'failed' }));
    });
  }

  private settle(verdict: Verdict): void {
    this.options.aborts.delete(this.abort);
    this.cancel();
    if (this.isLate) this.options.onLate(this.asVerdict(verdict));
    else this.resolve(this.asVerdict(verdict));
  }

  /** A cut says nothing about the provider. */
  private asVerdict(verdict: Verdict): Verdict {
    if (!this.wasCutShort) return verdict;
    const { outcome, provider } = verdict;
    return { outcome, provider: provider === 'failed' ? null : provider, wasCutShort: true };
  }
}
