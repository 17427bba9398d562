/**
 * One call of a SQL function of the schema `punctual`: named arguments in, one JSON value out. The whole
 * path to the database; a transport is an implementation of this type.
 *
 * Throws `StoreError`.
 */
export type Rpc = (fn: string, args: Record<string, unknown>) => Promise<unknown>;

/** Another process has the embedded database's directory (SQLSTATE object_in_use). */
export const directoryInUseCode = '55006';
