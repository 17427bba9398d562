/**
 * One call of a SQL function of the schema `punctual`: named arguments in, one JSON value out. The whole
 * path to the database; a transport is an implementation of this type.
 *
 * Throws `StoreError`.
 */
export type Rpc = (fn: string, args: Record<string, unknown>) => Promise<unknown>;

/**
 * - `unavailable`: the database did not answer, or not in time. The call may have been carried out.
 * - `refused`: the database answered with an error; nothing was carried out.
 * - `misconfigured`: the functions are not there, or we may not call them.
 */
export type StoreErrorKind = 'unavailable' | 'refused' | 'misconfigured';

/** Another process has the embedded database's directory (SQLSTATE object_in_use). */
export const directoryInUseCode = '55006';

export class StoreError extends Error {
  override readonly name = 'StoreError';
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
