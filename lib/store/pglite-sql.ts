import { Script } from 'node:vm';
import { type PGlite, types } from '@electric-sql/pglite';
import { StoreError } from '../engine/ports/store-error';
import { isCancelled, isPanic } from './is-panic';

/** What one statement of a text answered. */
export interface SqlResult {
  /** `SELECT`, `UPDATE`, `CREATE`, … */
  command: string;
  /** Rows that it answered or changed; null of one that does neither. */
  rowCount: number | null;
  columns: string[];
  /** Values as Postgres writes them. */
  rows: (string | null)[][];
}

/** Postgres refused a statement. Nothing of the text was applied, but for what it committed itself. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  constructor(
    message: string,
    /** As Postgres names them. */
    readonly fields: { code?: string; detail?: string; hint?: string; position?: string } = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Runs the statements of a text, all of them or none. After `limitMs` it is cancelled; without it there is no limit. Throws a `SqlError`,
 * and a `StoreError` where the database cannot be reached.
 */
export type RunSql = (text: string, limitMs?: number) => Promise<SqlResult[]>;

const asWritten = Object.fromEntries(Object.values(types).map((oid) => [oid, (value: string) => value]));

/**
 * `RunSql` over an embedded Postgres that others use by the same connection: a transaction that the text leaves open is rolled back, and its
 * settings, roles and temporary tables go. After SQL that was cancelled, `db` must not be used any more.
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
    if ('failure' in outcome) throw refusalOf(outcome.failure);
    if (isOpen) {
      throw new SqlError('the SQL left a transaction open, which was rolled back', {
        hint: 'End it with commit.',
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
 * Gives each call into Postgres `ms` milliseconds. It runs in this thread, so its own statement_timeout never fires; V8 stops it instead, in
 * the middle of whatever it does. What it holds is undefined by then: every later call throws.
 */
function limitCalls(db: PGlite, ms: number): void {
  const { execProtocolRawSync } = db;
  let stopped: unknown;
  db.execProtocolRawSync = (message) => {
    if (stopped) throw stopped;
    const call = () => execProtocolRawSync.call(db, message);
    try {
      return callPostgres.runInNewContext({ call }, { timeout: ms });
    } catch (error) {
      if (isCancelled(error)) stopped = error;
      throw error;
    }
  };
}

const cancelled = (cause: unknown, limitMs = 0) =>
  new SqlError(
    `the SQL took longer than ${limitMs / 1_000} s and was cancelled`,
    {
      code: '57014',
      detail: 'Nothing of it was applied, but for what it committed itself.',
      hint: 'End the app and run it again: without the app there is no limit.',
    },
    { cause },
  );

/** With its cause, by which a panic is known. */
const unavailable = (cause: unknown) =>
  new StoreError('unavailable', (cause as Error).message, null, { cause });

/** Postgres's warning to a rollback outside of any. */
const noTransaction = '25P01';

function refusalOf(failure: unknown): unknown {
  const { message, code, detail, hint, position } = failure as SqlError['fields'] & Error;
  return code === undefined ? failure : new SqlError(message, { code, detail, hint, position });
}
