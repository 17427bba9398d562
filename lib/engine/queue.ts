import type { z } from 'zod';
import { longestAttemptMs } from './budget';
import type { Outcome } from './outcome';
import type { Log } from './ports/log';
import type { Account, Finding } from './ports/queue-store';

/** What a queue is besides its table: how one row's work is done. */
export interface Queue<Row, Deps, Env> {
  /** As in the registry: `dm_queue`. */
  name: string;
  /** What of the row `perform` needs. A row that does not fit is retried, with the reason, and `perform` never sees it. */
  row: z.ZodType<Row>;
  /** As in the registry; a tick refuses to run where the two differ. */
  delivery: 'at-most-once' | 'at-least-once';
  /** The longest one attempt may take. The registry and the row may set less. */
  timeoutMs: number;
  /** Makes what `perform` needs. Throws `NotConfiguredError` when what it needs is not set, or where there is a `fault`. */
  connect(env: Env): Deps;
  /** What in the definition keeps the queue from ticking, and what to change. Set by `defineQueue`. */
  fault?: string | null;
  /** For a queue with accounts: the providers that `deps` can reach. Rows of others wait. */
  providers?(deps: Deps): string[];
  /**
   * Does the row's work once. May throw: an error is classified by its `kind` (`rejected`, `rate_limited`,
   * `not_sent`, `account_refused`, `uncertain`), and one without a kind counts as uncertain.
   */
  perform(row: Row, context: PerformContext<Deps>): Promise<Outcome> | Outcome;
  /**
   * For at-most-once: asks the provider what became of a row whose attempt is uncertain. Changes nothing, and may be called any
   * number of times, within `timeoutMs` each. May throw: it is asked again later. Without it an operator decides.
   */
  reconcile?(row: Row, context: ReconcileContext<Deps>): Promise<Finding>;
}

export interface ReconcileContext<Deps> {
  deps: Deps;
  /** Fires when the check's time is over. */
  signal: AbortSignal;
  log: Log;
  /** Who the row was sent as; null in a queue without accounts. */
  account: Account | null;
  /** When the attempt's claim was made, ISO 8601, by the database's clock: nothing of it is older. */
  attemptedAt: string;
  /** What the queue's SQL function `evidence` knows of the row; null where there is none. */
  evidence: unknown;
}

export interface PerformContext<Deps> {
  deps: Deps;
  /**
   * Fires when the attempt's time is over. After something that took a while, call its `throwIfAborted()` right before what must not be done
   * twice: a machine that was suspended meanwhile has lost the row to another attempt.
   */
  signal: AbortSignal;
  log: Log;
  /** 1 for the first. */
  attempt: number;
  /** Of this attempt and no other: what a provider echoes can be told by it. */
  claimId: string;
  /** Who the row is sent as; null in a queue without accounts. */
  account: Account | null;
  /** What the queue's SQL function `facts` knew of the row at the claim; null where there is none. */
  facts: unknown;
  /**
   * Says how far the work is, in the queue's progress column: the latest word, about once a second, and no outcome: a tick that dies may
   * leave it unsaid. Never throws; what is no JSON is left out.
   */
  progress(value: unknown): void;
}

/** Something has to be set before this can run. Nothing was claimed. */
export class NotConfiguredError extends Error {
  override readonly name = 'NotConfiguredError';
  readonly kind = 'not_configured';
  constructor(
    message: string,
    /** The variables to set. */
    readonly variables: string[],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The shortest limit that a route of ours declares. */
const shortestLimitMs = 60_000;

/**
 * Checks what can be checked before any row is claimed. A module that throws when it is loaded answers nothing, and takes all that imports
 * it along: so a fault, and whatever `connect` throws, comes as a `NotConfiguredError` of `connect`.
 */
export function defineQueue<Row, Deps, Env>(queue: Queue<Row, Deps, Env>): Queue<Row, Deps, Env> {
  const fault = queue.fault ?? faultOf(queue);
  return {
    ...queue,
    fault,
    connect(env) {
      if (fault !== null) throw new NotConfiguredError(fault, []);
      try {
        return queue.connect(env);
      } catch (cause) {
        if (Object(cause).kind === 'not_configured') throw cause;
        // Its own text may have a secret in it.
        throw new NotConfiguredError(
          `${queue.name}: connect threw an error, which is in the log. Nothing was claimed. Mend connect, or have it throw a NotConfiguredError that names the variables to set.`,
          [],
          { cause },
        );
      }
    },
  };
}

function faultOf({ name, timeoutMs }: Pick<Queue<never, never, never>, 'name' | 'timeoutMs'>): string | null {
  if (!/^[a-z][a-z0-9_]{0,39}$/.test(name)) {
    return `"${name}" is no name for a queue: lower-case letters, digits and _`;
  }
  if (timeoutMs > 0 && timeoutMs <= longestAttemptMs(shortestLimitMs)) return null;
  return (
    `${name}: a timeout of ${timeoutMs} ms does not fit into a tick of ${shortestLimitMs} ms. ` +
    `Set timeoutMs in the queue's definition to ${longestAttemptMs(shortestLimitMs)} ms at most.`
  );
}
