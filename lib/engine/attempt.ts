import type { Outcome } from './outcome';
import type { Clock } from './ports/clock';

/** An attempt's outcome, and what it says of the provider. */
export interface Verdict {
  outcome: Outcome;
  /**
   * `failed`: no usable answer, which may be the provider's fault as a whole; `refused`: it refuses everything of ours. Null where it
   * says nothing.
   */
  provider: 'answered' | 'failed' | 'refused' | null;
  /** Our process had no more time for it. */
  wasCut?: boolean;
}

/** An attempt that saw its signal may say what it was doing; after this it is left behind. */
const graceMs = 250;

/**
 * What a thrown error means, by its `kind` and never by its message. What nobody classified is uncertain: it may have had
 * its effect.
 */
function classifyError(error: unknown, delivery: 'at-most-once' | 'at-least-once'): Verdict {
  try {
    return classify(error, delivery);
  } catch {
    // Anything can be thrown, also what cannot be looked at: a proxy, an object without a prototype.
    return { outcome: uncertain('it threw what cannot be told', delivery), provider: null };
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
      // An account's own refusal is an answer: the provider is well.
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

/** Whether an error says what it means. Any other is a surprise. */
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

/** What `perform` returned, taken for what it is: anything but an outcome is uncertain. */
function judgeReturned(value: unknown, delivery: 'at-most-once' | 'at-least-once'): Verdict {
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
 * Runs one attempt, and answers in time whether or not it does: its signal fires after `timeoutMs`; `graceMs` later it is left
 * behind, and what it may have done is uncertain. `onLate` hears what it came to in the end, if it ever ends. While it runs `cuts` holds
 * what ends its time at once. `signal.throwIfAborted()` asks the clock, too: timers stand still while the machine is suspended.
 */
export function runAttempt(
  perform: (signal: AbortSignal) => Promise<Outcome> | Outcome,
  options: {
    clock: Clock;
    timeoutMs: number;
    delivery: 'at-most-once' | 'at-least-once';
    cuts: Set<() => void>;
    onLate(verdict: Verdict): void;
  },
): Promise<Verdict> {
  const { clock, timeoutMs, delivery, cuts } = options;
  return new Promise((resolve) => {
    const controller = new AbortController();
    const { signal } = controller;
    const endsAt = clock.now() + timeoutMs;
    let leftBehind = false;
    let wasCut = false;
    // That we have no more time says nothing about the provider.
    const judge = ({ outcome, provider }: Verdict): Verdict =>
      wasCut ? { outcome, provider: provider === 'failed' ? null : provider, wasCut } : { outcome, provider };
    const expire = (why: string, error: string) => {
      cuts.delete(cut);
      cancel();
      controller.abort(new DOMException(why, 'TimeoutError'));
      cancel = clock.timer(graceMs, () => {
        leftBehind = true;
        resolve(judge({ outcome: uncertain(error, delivery), provider: 'failed' }));
      });
    };
    const cut = () => {
      wasCut = true;
      expire('the process ends', 'the process ended before it was answered');
    };
    let cancel = clock.timer(timeoutMs, () =>
      expire(`the attempt's ${timeoutMs} ms are over`, `no answer within ${timeoutMs} ms`),
    );
    cuts.add(cut);
    signal.throwIfAborted = () => {
      if (clock.now() >= endsAt && !signal.aborted) cut();
      AbortSignal.prototype.throwIfAborted.call(signal);
    };
    const settle = (verdict: Verdict) => {
      cuts.delete(cut);
      cancel();
      if (leftBehind) options.onLate(judge(verdict));
      else resolve(judge(verdict));
    };
    // An attempt that throws before its first await is an attempt that failed, like any other.
    Promise.resolve()
      .then(() => perform(signal))
      .then(
        (value) => settle(judgeReturned(value, delivery)),
        (error) => settle(classifyError(error, delivery)),
      );
  });
}
