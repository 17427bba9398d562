import type { TickCounts } from '../tick-report';

/**
 * - `unavailable`: the database did not answer, or not in time. The call may have been carried out.
 * - `refused`: the database answered with an error; nothing was carried out.
 * - `misconfigured`: the functions are not there, or we may not call them.
 * - `registry`: what `punctual.queues` says goes against the code or the limit, and has to be changed there. Only ticks throw it.
 */
export type StoreErrorKind = 'unavailable' | 'refused' | 'misconfigured' | 'registry';

/** The database could not be talked to, or would not do what was asked. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  /** Of one that a tick throws: what it had done by then. */
  counts: TickCounts | null = null;

  constructor(
    readonly kind: StoreErrorKind,
    message: string,
    /** The SQLSTATE or PostgREST code, where there was one; `401` for a key that was refused. */
    readonly code: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** By its name and not by its class: Next bundles pages and routes apart, each with classes of its own. */
export function isStoreError(error: unknown): error is StoreError {
  return error instanceof Error && error.name === 'StoreError';
}

/** An error of the store as it is; any other as one of unknown effect. */
export function asStoreError(error: unknown): StoreError {
  if (isStoreError(error)) return error;
  return new StoreError('unavailable', error instanceof Error ? error.message : String(error), null, {
    cause: error,
  });
}
