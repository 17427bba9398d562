import { Script } from 'node:vm';
import { type PGlite, types } from '@electric-sql/pglite';
import { StoreError } from '../../engine/ports/store-error.ts';
import { isCancelled, isPanic } from './is-panic.ts';

/** The result of one statement. */
export interface SqlResult {
  /** `SELECT`, `UPDATE`, `CREATE`, … */
  command: string;
  /** Rows that it returned or changed; null if it does neither. */
  rowCount: number | null;
  columns: string[];
  /** Values in Postgres's text format. */
  rows: (string | null)[][];
}

/** Postgres refused a statement. Nothing was applied, except what the SQL committed itself. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  constructor(
    message: string,
    /** Named as by Postgres. */
    readonly fields: { code?: string; detail?: string; hint?: string; position?: string } = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Runs the statements of a text, all of them or none. Cancels them after `limitMs`; without it there is no limit. Throws a `SqlError`, or a
 * `StoreError` if the database is unavailable.
 */
export type RunSql = (text: string, limitMs?: number) => Promise<SqlResult[]>;

const asWritten = Object.fromEntries(Object.values(types).map((oid) => [oid, (value: string) => value]));

/**
 * `RunSql` over an embedded Postgres, which has one connection for all callers. So it rolls back a transaction that the text leaves open, and
 * discards its settings, roles and temporary tables. Don't use `db` any more after SQL was cancelled.
 */
export function pgliteSql(db: PGlite): RunSql {
  return async (text, limitMs) => {
    if (limitMs !== undefined) limitCalls(db, limitMs);
    const outcome = await db.exec(text, { rowMode: 'array', parsers: asWritten }).then(
      (results) => ({ results }),
      (failure: unknown) => ({ failure }),
    );
    if ('failure' in outcome && isCancelled(outcome.failure)) throw cancelled(outcome.failure, limitMs);
    if ('failure' in outcome && isPanic(outcome.failure)) throw unavailable(outcome.failure);
    if (limitMs !== undefined) delete (db as Partial<PGlite>).execProtocolRawSync;
    let isOpen = true;
    const onNotice = ({ code }: { code: string | undefined }) => {
      if (code === noTransaction) isOpen = false;
    };
    try {
      await db.exec('rollback', { onNotice });
      await db.exec('discard all');
    } catch (error) {
      throw unavailable(error);
    }
    if ('failure' in outcome) throw asSqlError(outcome.failure);
    if (isOpen) {
      throw new SqlError('the SQL left a transaction open, so it was rolled back', {
        hint: 'End the transaction with commit.',
      });
    }
    return outcome.results.map(({ command = '', rowCount, fields, rows }) => ({
      command,
      rowCount: Number.isInteger(rowCount) ? (rowCount ?? null) : null,
      columns: fields.map(({ name }) => name),
      rows: rows as unknown as (string | null)[][],
    }));
  };
}

const callPostgres = new Script('call()');

/**
 * Limits each call into Postgres to `ms` milliseconds. Postgres runs in this thread, so its statement_timeout never fires, and V8 stops the call
 * instead, at any point of its code. The state of its memory is undefined then, so every later call throws.
 */
function limitCalls(db: PGlite, ms: number): void {
  const { execProtocolRawSync } = db;
  let cancellation: unknown;
  db.execProtocolRawSync = (message) => {
    if (cancellation) throw cancellation;
    const call = () => execProtocolRawSync.call(db, message);
    try {
      return callPostgres.runInNewContext({ call }, { timeout: ms });
    } catch (error) {
      if (isCancelled(error)) cancellation = error;
      throw error;
    }
  };
}

const cancelled = (cause: unknown, limitMs = 0) =>
  new SqlError(
    `the SQL took longer than ${limitMs / 1_000} s and was cancelled`,
    {
      code: '57014',
      detail: 'Nothing was applied, except what the SQL committed itself.',
      hint: 'Stop the app and run the SQL again: without the app there is no time limit.',
    },
    { cause },
  );

/** Keeps the cause, by which a caller recognizes a panic. */
const unavailable = (cause: unknown) =>
  new StoreError('unavailable', (cause as Error).message, null, { cause });

/** Postgres warns with this code if there is no transaction to roll back. */
const noTransaction = '25P01';

/** Errors that are not from Postgres stay as they are. */
function asSqlError(failure: unknown): unknown {
  const { message, code, detail, hint, position } = failure as SqlError['fields'] & Error;
  return code === undefined ? failure : new SqlError(message, { code, detail, hint, position });
}
