/** The outcome of an attempt. `perform` returns one. If it throws, the error's `kind` decides the outcome. */
export type Outcome =
  | { kind: 'done'; result?: Result }
  /** Failed without effect. Retried after a backoff, or after `afterSeconds` if that is longer. */
  | {
      kind: 'retry';
      error: string;
      afterSeconds?: number;
      /** The provider's rate limit was reached. Costs no attempt. The account or the addressee waits. */
      rateLimited?: boolean;
      /** The target of the rate limit: the account by default, or only this addressee of the account. */
      scope?: 'account' | 'pair';
      /**
       * The provider refuses every row of the account, or every call of ours. Costs no attempt. The account or the provider pauses, longer after
       * each refusal in a row.
       */
      refused?: 'account' | 'provider';
      /** The provider's code for the refusal. */
      refusal?: string;
      result?: Result;
    }
  /** Reschedules a recurring row: due at the first multiple of `afterSeconds` after its last due time that is later than its claim. */
  | { kind: 'again'; afterSeconds: number; result?: Result }
  /** Failed for good. `refusal` is the provider's code if it refused the row. The same code five times in a row pauses the account. */
  | { kind: 'dead'; error: string; refusal?: string; result?: Result }
  /** May have had its effect. Never retried without evidence. */
  | { kind: 'unknown'; error: string; result?: Result };

/** The result of an attempt. The queue's result columns take fields by name; its `after_settle` function gets all of them. */
export type Result = Record<string, unknown>;

export const done = (result?: Result): Outcome => ({ kind: 'done', result });
export const retry = (error: string, afterSeconds?: number): Outcome => ({
  kind: 'retry',
  error,
  afterSeconds,
});
export const again = (afterSeconds: number, result?: Result): Outcome => ({
  kind: 'again',
  afterSeconds,
  result,
});
export const dead = (error: string): Outcome => ({ kind: 'dead', error });
export const unknown = (error: string): Outcome => ({ kind: 'unknown', error });
