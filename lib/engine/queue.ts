import type { z } from 'zod';
import { longestAttemptMs } from './budget.ts';
import type { Outcome } from './outcome.ts';
import type { Log } from './ports/log.ts';
import type { Account, Finding } from './ports/queue-store.ts';

/** A queue's definition in code: how to run one row. The table and the settings are in the database. */
export interface Queue<Row, Deps, Env> {
  /** The queue's name in the registry, for example `dm_queue`. */
  name: string;
  /** The columns that `perform` needs. A row that does not fit is retried later, with the reason, and `perform` never sees it. */
  row: z.ZodType<Row>;
  /** As in the registry. A tick throws if the two differ. */
  delivery: 'at-most-once' | 'at-least-once';
  /**
   * How its endpoints tick its partitions. `main`, the default: it has one. `named`: each has its own endpoint. `due`: one endpoint ticks all
   * partitions with due rows.
   */
  partitions?: 'main' | 'named' | 'due';
  /** The note of the endpoint's response until the queue is registered. Without it, an unregistered queue is an error. */
  unregisteredNote?: string;
  /** The longest attempt. The registry and the row may set less. */
  timeoutMs: number;
  /** Makes the `deps` of `perform`. Throws a `NotConfiguredError` if a setting is missing or the definition has a `fault`. */
  connect(env: Env): Deps;
  /** The error in this definition, and how to correct it; null if there is none. Set by `defineQueue`. */
  fault?: string | null;
  /** For a queue with accounts: the providers in `deps`. Rows of other providers wait. */
  providers?(deps: Deps): string[];
  /**
   * Does the row's work once. May throw: the error's `kind` (`rejected`, `rate_limited`, `not_sent`, `account_refused` or `uncertain`) decides
   * the outcome. An error without a kind is uncertain.
   */
  perform(row: Row, context: PerformContext<Deps>): Promise<Outcome> | Outcome;
  /**
   * For at-most-once: asks the provider about a row with an uncertain attempt. Must change nothing, because it may run any number of times. Each
   * check takes at most `timeoutMs`. May throw: the row is checked again later. Without `reconcile` an operator decides.
   */
  reconcile?(row: Row, context: ReconcileContext<Deps>): Promise<Finding>;
}

/** What `defineQueue` takes. Without `connect`, the `deps` of `perform` are null. */
export type QueueDefinition<Row, Deps, Env> = Omit<Queue<Row, Deps, Env>, 'connect'> &
  Partial<Pick<Queue<Row, Deps, Env>, 'connect'>>;

export interface ReconcileContext<Deps> {
  deps: Deps;
  /** Aborts when the check's time is over. */
  signal: AbortSignal;
  log: Log;
  /** The account that the row was sent as; null in a queue without accounts. */
  account: Account | null;
  /** When the attempt was claimed, ISO 8601, by the database's clock. Nothing that the attempt left is older. */
  attemptedAt: string;
  /** The value of the queue's SQL function `evidence` for this row; null without one. */
  evidence: unknown;
}

/**
 * What `perform` gets beside its row. `signal` and `progress` are made when they are first read, so a copy by spread lacks them. As getters of a
 * class they make TypeScript refuse such a copy.
 */
export abstract class PerformContext<Deps> {
  abstract readonly deps: Deps;
  abstract readonly log: Log;
  /** 1 for the first. */
  abstract readonly attempt: number;
  /** Unique to this attempt, so a provider's echo of it names the attempt. */
  abstract readonly claimId: string;
  /** The account that the row is sent as; null in a queue without accounts. */
  abstract readonly account: Account | null;
  /** The value of the queue's SQL function `facts` for this row at the claim; null without one. */
  abstract readonly facts: unknown;
  /**
   * Aborts when the attempt's time is over. After slow work, call `signal.throwIfAborted()` right before an effect that must not happen twice:
   * if the machine was suspended meanwhile, another attempt may have the row.
   */
  abstract get signal(): AbortSignal;
  /**
   * Reports progress. The latest value is written to the queue's progress column about once a second, and may be lost if the tick dies. Never
   * throws. A value that is not JSON is left out.
   */
  abstract get progress(): (value: unknown) => void;
}

/** The queue cannot run until a setting or its code is corrected. Nothing was claimed. */
export class NotConfiguredError extends Error {
  override readonly name = 'NotConfiguredError';
  readonly kind = 'not_configured';
  constructor(
    message: string,
    /** The environment variables to set; empty if the code has to be corrected. */
    readonly variables: string[],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The shortest `maxDuration` of our routes, in milliseconds. */
const shortestLimitMs = 60_000;

/**
 * Checks a queue's definition. A fault is not thrown here, because a module that throws when it is loaded breaks every module that imports it.
 * Instead `connect` throws it as a `NotConfiguredError`, and also wraps any other error of the queue's own `connect` in one.
 */
export function defineQueue<Row, Deps = null, Env = unknown>(
  queue: QueueDefinition<Row, Deps, Env>,
): Queue<Row, Deps, Env> {
  const fault = queue.fault ?? faultOf(queue);
  return {
    ...queue,
    fault,
    connect(env) {
      if (fault !== null) throw new NotConfiguredError(fault, []);
      try {
        return queue.connect ? queue.connect(env) : (null as Deps);
      } catch (cause) {
        if (Object(cause).kind === 'not_configured') throw cause;
        // The error's own text may contain a secret.
        throw new NotConfiguredError(
          `${queue.name}: connect threw an error, which is in the log. Nothing was claimed. Correct connect, or let it throw a NotConfiguredError that names the variables to set.`,
          [],
          { cause },
        );
      }
    },
  };
}

function faultOf({ name, timeoutMs }: Pick<Queue<never, never, never>, 'name' | 'timeoutMs'>): string | null {
  if (!/^[a-z][a-z0-9_]{0,39}$/.test(name)) {
    return `"${name}" is not a valid queue name: use up to 40 lower-case letters, digits and _, and begin with a letter`;
  }
  if (timeoutMs > 0 && timeoutMs <= longestAttemptMs(shortestLimitMs)) return null;
  return (
    `${name}: a timeout of ${timeoutMs} ms does not fit into a tick of ${shortestLimitMs} ms. ` +
    `Set timeoutMs in the queue's definition to ${longestAttemptMs(shortestLimitMs)} ms at most.`
  );
}
