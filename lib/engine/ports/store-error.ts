import type { TickCounts } from '../tick-report.ts';

/**
 * - `unavailable`: the database did not respond, or not in time. The call may have had its effect.
 * - `refused`: the database responded with an error. The call had no effect.
 * - `misconfigured`: the functions do not exist, or we may not call them.
 * - `registry`: a setting in `punctual.queues` contradicts the code or the limit. Change it there. Only ticks throw this kind.
 */
export type StoreErrorKind = 'unavailable' | 'refused' | 'misconfigured' | 'registry';

/** A call to the database failed. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  /** What the error concerns, for example the parameter. */
  readonly detail: string | null;
  /** The counts of the tick that threw this error; null if no tick did. */
  counts: TickCounts | null = null;

  constructor(
    readonly kind: StoreErrorKind,
    message: string,
    /** The SQLSTATE or PostgREST code, if any; `401` for a refused key. */
    readonly code: string | null = null,
    { detail, ...options }: ErrorOptions & { detail?: string | null } = {},
  ) {
    super(message, options);
    this.detail = detail ?? null;
  }
}

/** Tests the name and not the class: Next bundles pages and routes separately, so each has its own class. */
export function isStoreError(error: unknown): error is StoreError {
  return error instanceof Error && error.name === 'StoreError';
}

/** Returns a `StoreError` unchanged, and wraps any other value as `unavailable`, because the call may have had its effect. */
export function asStoreError(error: unknown): StoreError {
  if (isStoreError(error)) return error;
  return new StoreError('unavailable', error instanceof Error ? error.message : String(error), null, {
    cause: error,
  });
}
