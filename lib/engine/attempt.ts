import type { Outcome } from './outcome.ts';
import type { Clock } from './ports/clock.ts';
import type { Log } from './ports/log.ts';
import type { Account, ClaimedRow } from './ports/queue-store.ts';
import { PerformContext } from './queue.ts';

/** An attempt's outcome, and what it says about the provider. */
export interface Verdict {
  outcome: Outcome;
  /** `failed`: no usable response; `refused`: it refuses every call of ours; null: the outcome says nothing about it. */
  provider: 'answered' | 'failed' | 'refused' | null;
  /** The process was ending, or the machine had been suspended past the timeout. Says nothing about the provider. */
  wasCutShort?: boolean;
  /** Of an attempt that failed by an error or by its timeout. */
  failure?: Failure;
}

/** Details of a failed attempt, for the row's history. */
export interface Failure {
  /** The error's kind; `thrown` for an error without one, `timeout`, or `cut` if the process ended. */
  kind: string;
  /** The provider's code, or else the HTTP status. */
  code?: string;
  /** The beginning of the provider's answer, from the error's `answer`. The code that throws it removes secrets and private text. */
  answer?: string;
}

const maxAnswerLength = 2_048;

/** An attempt whose signal aborted has this long to return. Then it counts as uncertain. */
const graceMs = 250;

/** Maps a thrown error to an outcome by its `kind`. An error without one is uncertain: the attempt may have had its effect. */
function classifyError(error: unknown, delivery: 'at-most-once' | 'at-least-once'): Verdict {
  try {
    const verdict = classify(error, delivery);
    verdict.failure = failureOf(error);
    return verdict;
  } catch {
    // A proxy or an object without a prototype may throw when it is read.
    const outcome = uncertain('it threw a value that cannot be read', delivery);
    return { outcome, provider: null, failure: { kind: 'thrown' } };
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

function failureOf(error: unknown): Failure {
  const { kind, code, status, answer } = Object(error);
  const failure: Failure = { kind: kinds.has(kind) ? kind : 'thrown' };
  if (isCode(code)) failure.code = String(code).slice(0, 100);
  else if (isCode(status)) failure.code = String(status).slice(0, 100);
  if (typeof answer === 'string') failure.answer = answer.slice(0, maxAnswerLength);
  return failure;
}

const isCode = (code: unknown) => typeof code === 'string' || typeof code === 'number';

function uncertain(error: string, delivery: 'at-most-once' | 'at-least-once'): Outcome {
  return delivery === 'at-most-once' ? { kind: 'unknown', error } : { kind: 'retry', error };
}

const outcomeKinds = new Set<unknown>(['done', 'retry', 'again', 'dead', 'unknown']);

/** Checks what `perform` returned. Anything but an outcome is uncertain. */
function checkReturned(value: unknown, delivery: 'at-most-once' | 'at-least-once'): Verdict {
  const outcome = value as Outcome | undefined;
  let kind: unknown;
  try {
    kind = outcome?.kind;
  } catch {
    // A proxy or a getter may throw when it is read.
  }
  if (typeof outcome !== 'object' || outcome === null || !outcomeKinds.has(kind)) {
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

/** What the attempts of a tick share. */
export interface AttemptHost {
  clock: Clock;
  delivery: 'at-most-once' | 'at-least-once';
  /** Called when `endsAt` is set. At that instant the host calls `timeUp`. */
  watch(attempt: Attempt): void;
  /** Called with what `perform` reports while it runs. */
  onProgress(attempt: Attempt, value: unknown): void;
  /** Called with an error that `perform` threw. */
  onThrown(attempt: Attempt, error: unknown): void;
  /** Called once, in time: `graceMs` after the signal aborts, an attempt that still runs counts as uncertain. */
  onEnd(attempt: Attempt, verdict: Verdict): void;
  /** Called if the attempt ends after that. */
  onLate(attempt: Attempt, verdict: Verdict): void;
}

/** One run of `perform`. Few objects are made for each, because a tick may run a hundred thousand. */
export class Attempt {
  readonly startedAt: number;
  /** When its time is over; once its signal has aborted, when its grace period is over. In the clock's milliseconds. */
  endsAt: number;
  private controller: AbortController | null = null;
  /** Why the signal aborted; null before. */
  private reason: DOMException | null = null;
  /** The outcome's error if the attempt does not end within its grace period. */
  private lateError = '';
  private isLate = false;
  private wasCutShort = false;

  constructor(
    private readonly host: AttemptHost,
    readonly row: ClaimedRow,
    readonly claimId: string,
    private readonly timeoutMs: number,
  ) {
    this.startedAt = host.clock.now();
    this.endsAt = this.startedAt + timeoutMs;
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
      if (this.host.clock.now() >= this.endsAt && !signal.aborted) this.abort();
      AbortSignal.prototype.throwIfAborted.call(signal);
    };
    return signal;
  }

  /** Passes on what `perform` reports. */
  get progress(): (value: unknown) => void {
    return (value) => this.host.onProgress(this, value);
  }

  /** Whether the error is the one with which the signal aborted. */
  isReason(error: unknown): boolean {
    return this.reason !== null && error === this.reason;
  }

  /** Runs `perform`. Call it once. */
  run(perform: () => Promise<Outcome> | Outcome): void {
    const { host } = this;
    host.watch(this);
    let returned: Promise<Outcome>;
    try {
      returned = Promise.resolve(perform());
    } catch (error) {
      returned = Promise.reject(error);
    }
    returned.then(
      (outcome) => this.settle(checkReturned(outcome, host.delivery)),
      (error) => {
        host.onThrown(this, error);
        this.settle(classifyError(error, host.delivery));
      },
    );
  }

  /** Ends the attempt early, because the process ends. */
  abort(): void {
    if (this.reason) return;
    this.wasCutShort = true;
    this.expire('the process ends', 'the process ended before the attempt did');
  }

  /** The instant `endsAt` has passed. */
  timeUp(): void {
    if (!this.reason) {
      this.expire(`the attempt's ${this.timeoutMs} ms are over`, `no answer within ${this.timeoutMs} ms`);
      return;
    }
    this.isLate = true;
    const outcome = uncertain(this.lateError, this.host.delivery);
    const failure = { kind: this.wasCutShort ? 'cut' : 'timeout' };
    this.host.onEnd(this, this.asVerdict({ outcome, provider: 'failed', failure }));
  }

  private expire(why: string, error: string): void {
    this.lateError = error;
    this.reason = new DOMException(why, 'TimeoutError');
    this.endsAt = this.host.clock.now() + graceMs;
    this.host.watch(this);
    this.controller?.abort(this.reason);
  }

  private settle(verdict: Verdict): void {
    if (this.isLate) this.host.onLate(this, this.asVerdict(verdict));
    else this.host.onEnd(this, this.asVerdict(verdict));
  }

  /** A cut says nothing about the provider. */
  private asVerdict(verdict: Verdict): Verdict {
    if (!this.wasCutShort) return verdict;
    const { outcome, provider, failure } = verdict;
    return { outcome, provider: provider === 'failed' ? null : provider, wasCutShort: true, failure };
  }
}

/** What `perform` gets beside its row. */
export class AttemptContext<Deps> extends PerformContext<Deps> {
  readonly attempt: number;
  readonly claimId: string;
  readonly account: Account | null;
  readonly facts: unknown;
  readonly #attempt: Attempt;

  constructor(
    readonly deps: Deps,
    readonly log: Log,
    attempt: Attempt,
  ) {
    super();
    this.attempt = attempt.row.attempt;
    this.claimId = attempt.claimId;
    this.account = attempt.row.account;
    this.facts = attempt.row.facts;
    this.#attempt = attempt;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  get progress(): (value: unknown) => void {
    return this.#attempt.progress;
  }
}
