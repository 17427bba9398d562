/**
 * Calls a SQL function of the schema `punctual` with named arguments, and returns its one JSON value. All access to the database goes through
 * this type; each transport implements it. Throws a `StoreError`.
 */
export type Rpc = (fn: string, args: Record<string, unknown>) => Promise<unknown>;

/** Another process uses the embedded database's directory (SQLSTATE object_in_use). */
export const directoryInUseCode = '55006';
