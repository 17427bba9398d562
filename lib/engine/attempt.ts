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

/**
 * Runs one attempt and resolves in time. Its signal aborts after `timeoutMs`; `graceMs` later the attempt counts as uncertain, and `onLate` is
 * called if it ends after all. While the attempt runs, `aborts` holds a function that aborts it. `signal.throwIfAborted()` also reads the
 * clock, because timers stand still while a machine is suspended.
 */
export function runAttempt(
  perform: (signal: AbortSignal) => Promise<Outcome> | Outcome,
  options: {
    clock: Clock;
    timeoutMs: number;
    delivery: 'at-most-once' | 'at-least-once';
    aborts: Set<() => void>;
    onLate(verdict: Verdict): void;
  },
): Promise<Verdict> {
  const { clock, timeoutMs, delivery, aborts } = options;
  return new Promise((resolve) => {
    const controller = new AbortController();
    const { signal } = controller;
    const endsAt = clock.now() + timeoutMs;
    let isLate = false;
    let wasCutShort = false;
    // A cut says nothing about the provider.
    const asVerdict = ({ outcome, provider }: Verdict): Verdict =>
      wasCutShort
        ? { outcome, provider: provider === 'failed' ? null : provider, wasCutShort }
        : { outcome, provider };
    const expire = (why: string, error: string) => {
      aborts.delete(abort);
      cancel();
      controller.abort(new DOMException(why, 'TimeoutError'));
      cancel = clock.timer(graceMs, () => {
        isLate = true;
        resolve(asVerdict({ outcome: uncertain(error, delivery), provider: 'failed' }));
      });
    };
    const abort = () => {
      wasCutShort = true;
      expire('the process ends', 'the process ended before the attempt did');
    };
    let cancel = clock.timer(timeoutMs, () =>
      expire(`the attempt's ${timeoutMs} ms are over`, `no answer within ${timeoutMs} ms`),
    );
    aborts.add(abort);
    signal.throwIfAborted = () => {
      if (clock.now() >= endsAt && !signal.aborted) abort();
      AbortSignal.prototype.throwIfAborted.call(signal);
    };
    const settle = (verdict: Verdict) => {
      aborts.delete(abort);
      cancel();
      if (isLate) options.onLate(asVerdict(verdict));
      else resolve(asVerdict(verdict));
    };
    // Also catches an attempt that throws before its first await.
    Promise.resolve()
      .then(() => perform(signal))
      .then(
        (value) => settle(checkReturned(value, delivery)),
        (error) => settle(classifyError(error, delivery)),
      );
  });
}
