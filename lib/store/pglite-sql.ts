import { type PGlite, types } from '@electric-sql/pglite';
import { isPanic } from './is-panic';
import { StoreError } from './rpc';

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
  ) {
    super(message);
  }
}

/** Runs the statements of a text, all of them or none. Throws a `SqlError`, and a `StoreError` where the database cannot be reached. */
export type RunSql = (text: string) => Promise<SqlResult[]>;

const asWritten = Object.fromEntries(Object.values(types).map((oid) => [oid, (value: string) => value]));

/**
 * `RunSql` over an embedded Postgres that others use by the same connection: a transaction that the text leaves open is rolled back, and its
 * settings, roles and temporary tables go.
 */
export function pgliteSql(db: PGlite): RunSql {
  return async (text) => {
    const outcome = await db.exec(text, { rowMode: 'array', parsers: asWritten }).then(
      (results) => ({ results }),
      (failure: unknown) => ({ failure }),
    );
    if ('failure' in outcome && isPanic(outcome.failure)) throw unavailable(outcome.failure);
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

/** With its cause, by which a panic is known. */
const unavailable = (cause: unknown) =>
  new StoreError('unavailable', (cause as Error).message, null, { cause });

/** Postgres's warning to a rollback outside of any. */
const noTransaction = '25P01';

function refusalOf(failure: unknown): unknown {
  const { message, code, detail, hint, position } = failure as SqlError['fields'] & Error;
  return code === undefined ? failure : new SqlError(message, { code, detail, hint, position });
}
