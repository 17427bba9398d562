/** What an attempt came to. `perform` returns one; an error it throws is turned into one by its kind. */
export type Outcome =
  | { kind: 'done'; result?: Result }
  /** Failed for certain, without effect: again after a backoff, or after `afterSeconds` where that is longer. */
  | {
      kind: 'retry';
      error: string;
      afterSeconds?: number;
      /** The provider asked us to slow down: costs no attempt, and the account waits, or the addressee. */
      rateLimited?: boolean;
      /** Whom the provider limits: the account (unless said), or only this addressee of it. */
      scope?: 'account' | 'pair';
      /**
       * The provider refused, whatever the row: the account, or our set-up. Costs no attempt; the account or the provider pauses, the
       * longer the more often in a row.
       */
      refused?: 'account' | 'provider';
      /** For what: the provider's code. */
      refusal?: string;
      result?: Result;
    }
  /** A recurring row did its work: due again `afterSeconds` after its last due time, or as many times that as it takes to be after its claim. */
  | { kind: 'again'; afterSeconds: number; result?: Result }
  /** Failed for good. `refusal`: for what the provider refused it, if it did; the same five times in a row pauses the account. */
  | { kind: 'dead'; error: string; refusal?: string; result?: Result }
  /** May or may not have had its effect. Never tried again by itself. */
  | { kind: 'unknown'; error: string; result?: Result };

/** What is kept of the attempt: the queue's result columns take their part by name, its `after_settle` function all of it. */
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
