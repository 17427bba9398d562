import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type SqlStatement, splitStatements } from './sql-statements.ts';

export interface MigrationFile {
  /** Fourteen digits, `YYYYMMDDhhmmss`. */
  version: string;
  name: string;
  /** The file's name without its folder. */
  file: string;
  statements: SqlStatement[];
}

/** One connection that nothing else uses meanwhile. */
export interface MigrationPort {
  exec(sql: string): Promise<unknown>;
  query(sql: string, params: unknown[]): Promise<Record<string, unknown>[]>;
}

/** The folder or a file in it is invalid, or a file's SQL failed. Nothing of that file was applied. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  constructor(
    message: string,
    readonly file: string | null = null,
    /** The line in the file, from 1. */
    readonly line: number | null = null,
    /** The SQLSTATE if Postgres refused. */
    readonly code: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Reads the files `<14 digits>_<name>.sql` of a folder, in order of version. Throws a `MigrationError` for a `.sql` file with another name,
 * because skipping it would go unnoticed. Ignores files that are not `.sql`.
 */
export async function readMigrations(
  folder = path.join(process.cwd(), 'supabase/migrations'),
): Promise<MigrationFile[]> {
  // `turbopackIgnore` keeps the bundler from tracing these paths, which would bundle the whole project. Nothing migrates on Vercel.
  const names = await readdir(/* turbopackIgnore: true */ folder).catch((error: unknown) => {
    throw new MigrationError(`The migrations folder ${folder} cannot be read`, null, null, null, {
      cause: error,
    });
  });
  const files: MigrationFile[] = [];
  for (const file of names.filter((name) => name.endsWith('.sql')).sort()) {
    const [, version, name] = /^(\d{14})_(.+)\.sql$/.exec(file) ?? [];
    if (!version || !name) {
      throw new MigrationError(`${file}: the name must be <YYYYMMDDhhmmss>_<name>.sql`, file);
    }
    const twin = files.at(-1);
    if (twin?.version === version) {
      throw new MigrationError(`${twin.file} and ${file} have the same version`, file);
    }
    const sql = (await readFile(path.join(/* turbopackIgnore: true */ folder, file), 'utf8')).replace(
      /^\uFEFF/,
      '',
    );
    files.push({ version, name, file, statements: splitStatements(sql) });
  }
  if (files.length === 0) throw new MigrationError(`The migrations folder ${folder} holds no migrations`);
  return files;
}

export interface ApplyOptions {
  /** Returns the files that would be applied, and writes nothing. */
  dryRun?: boolean;
  /** Called after each file's commit. */
  onApplied?: (file: MigrationFile) => void;
  /** Called with the files that only Supabase's own history had, once they are recorded as applied. */
  onTakenOver?: (files: MigrationFile[]) => void;
}

/** A notice of Postgres; `pg` and PGlite have the same fields. */
export interface Notice {
  message?: string;
  /** The function of Postgres's source that sent it. */
  routine?: string;
}

/** Returns whether a `raise notice` of a migration sent the notice. Postgres has its own, for example "already exists, skipping". */
export function isRaised({ routine }: Notice): boolean {
  return routine === 'exec_stmt_raise';
}

/**
 * Applies the files that the database does not have yet, each in one transaction with its row in `punctual.schema_migrations`. Returns the files
 * that it applied.
 *
 * A file in Supabase's own history, which `supabase db push` keeps, counts as applied and is recorded as such. That history is read and never
 * written, because a row of ours there would make `db push` refuse in a project without the file.
 *
 * Two runs at once are safe: the second waits, and finds nothing to do. Throws a `MigrationError` for a file, and other errors as the port throws
 * them.
 */
export async function applyMigrations(
  port: MigrationPort,
  files: MigrationFile[],
  { dryRun = false, onApplied, onTakenOver }: ApplyOptions = {},
): Promise<MigrationFile[]> {
  const noted = await readHistory(port);
  const pushed = await readSupabaseHistory(port);
  const pending = pendingFiles(files, merge(pushed, noted));
  const takenOver = files.filter(({ version }) => pushed.has(version) && !noted.has(version));
  if (dryRun || pending.length + takenOver.length === 0) return pending;

  await transaction(port, async () => {
    await port.exec(createHistory);
    for (const file of takenOver) await note(port, file);
  });
  if (takenOver.length > 0) onTakenOver?.(takenOver);
  const applied: MigrationFile[] = [];
  for (const file of pending) {
    const ours = await transaction(port, () => applyFile(port, file));
    if (!ours) continue;
    applied.push(file);
    onApplied?.(file);
  }
  // PostgREST keeps the list of functions that it found when it started.
  if (applied.length > 0) await port.exec(`notify pgrst, 'reload schema'`);
  return applied;
}

const history = 'punctual.schema_migrations';
const supabaseHistory = 'supabase_migrations.schema_migrations';

/** As in the first migration. The history must exist before the first file of any folder is applied. */
const createHistory = `
  create schema if not exists punctual;
  create table if not exists ${history} (
    version text primary key,
    name text not null,
    engine boolean not null default false,
    checksum text,
    applied_at timestamptz not null default now()
  )`;

/** By version, the checksum of the applied file; null if unknown. */
type History = Map<string, string | null>;

async function readHistory(port: MigrationPort): Promise<History> {
  if (!(await hasTable(port, history))) return new Map();
  const rows = await port.query(`select version, checksum from ${history}`, []);
  return new Map(rows.map((row) => [String(row.version), row.checksum as string | null]));
}

/** Early versions of Supabase's CLI stored no statements, so their files have no checksum. */
async function readSupabaseHistory(port: MigrationPort): Promise<History> {
  if (!(await hasTable(port, supabaseHistory))) return new Map();
  const rows = await port.query(
    `select version, to_jsonb(m) -> 'statements' as statements from ${supabaseHistory} m`,
    [],
  );
  return new Map(
    rows.map((row) => {
      const statements = row.statements as string[] | null;
      return [String(row.version), statements?.length ? checksumOf(statements) : null];
    }),
  );
}

function merge(pushed: History, noted: History): History {
  const merged = new Map(pushed);
  for (const [version, checksum] of noted) merged.set(version, checksum ?? pushed.get(version) ?? null);
  return merged;
}

async function hasTable(port: MigrationPort, name: string): Promise<boolean> {
  const [table] = await port.query('select to_regclass($1) is not null as found', [name]);
  return table?.found === true;
}

function pendingFiles(files: MigrationFile[], applied: History): MigrationFile[] {
  const pending: MigrationFile[] = [];
  for (const file of files) {
    const checksum = applied.get(file.version);
    if (checksum === undefined) {
      // Punctual's files and a project's own have separate orders: a new release may be older than an applied file of the project.
      const isRelated = (other: MigrationFile) => isPunctuals(other) === isPunctuals(file);
      const last = files.findLast((other) => applied.has(other.version) && isRelated(other));
      if (last && file.version < last.version) {
        throw new MigrationError(
          `${file.file} comes before ${last.file}, which is already applied: give it a later version`,
          file.file,
        );
      }
      pending.push(file);
    } else if (checksum !== null && checksum !== checksumOf(textsOf(file))) {
      throw new MigrationError(
        `${file.file} was changed after it was applied: restore it, and write the change as a new migration`,
        file.file,
      );
    }
  }
  return pending;
}

/** Leaves out white space and semicolons, because Supabase's CLI and `splitStatements` cut a file differently. */
function checksumOf(statements: string[]): string {
  return createHash('sha256')
    .update(statements.join('').replace(/[\s;]+/g, ''))
    .digest('hex');
}

/** Each of Punctual's own files ends by recording itself. */
/** Whether it is a migration of Punctual's own. Others in the folder are the user's. */
export const isPunctuals = ({ statements }: MigrationFile) =>
  statements.at(-1)?.text.startsWith('select punctual.note_migration(') ?? false;

const textsOf = ({ statements }: MigrationFile) => statements.map(({ text }) => text);

/** Records a file as applied. Punctual's own files have recorded themselves by then, without a checksum. */
async function note(port: MigrationPort, file: MigrationFile): Promise<void> {
  await port.query(
    `insert into ${history} (version, name, checksum) values ($1, $2, $3)
     on conflict (version) do update set checksum = excluded.checksum`,
    [file.version, file.name, checksumOf(textsOf(file))],
  );
}

/** Returns false if another run has applied the file. */
async function applyFile(port: MigrationPort, file: MigrationFile): Promise<boolean> {
  const applied = await port.query(`select 1 from ${history} where version = $1`, [file.version]);
  if (applied.length > 0) return false;
  for (const statement of file.statements) {
    if (/^(begin|start|commit|end|rollback|abort)$/.test(statement.verb)) {
      throw new MigrationError(
        `${file.file}, line ${statement.line}: ${statement.verb.toUpperCase()}: remove it, because each file runs in one transaction`,
        file.file,
        statement.line,
      );
    }
    await port.exec(statement.text).catch((error: unknown) => {
      throw failure(file, statement, error);
    });
  }
  await note(port, file);
  return true;
}

/** An error of Postgres; `pg` and PGlite have the same fields. */
interface PostgresError {
  message: string;
  code?: string;
  /** In code points of the statement, from 1. */
  position?: string;
  detail?: string;
  hint?: string;
  where?: string;
}

function failure(file: MigrationFile, statement: SqlStatement, cause: unknown): MigrationError {
  const error = cause as PostgresError;
  const before = error.position ? [...statement.text].slice(0, Number(error.position) - 1).join('') : null;
  const line = before === null ? statement.line : statement.textLine + before.split('\n').length - 1;
  const column = before === null ? null : before.length - before.lastIndexOf('\n');
  const place = column === null ? `line ${line}` : `line ${line}, column ${column}`;
  const more = [error.detail, error.hint, error.where].filter(Boolean).map((text) => `\n  ${text}`);
  const message = `${file.file}, ${place}: ${error.message}${error.code ? ` (${error.code})` : ''}${more.join('')}`;
  return new MigrationError(message, file.file, line, error.code ?? null, { cause });
}

/** Runs `work` in a transaction that holds a lock. The lock ends with the transaction, so it also works behind a transaction pooler. */
async function transaction<T>(port: MigrationPort, work: () => Promise<T>): Promise<T> {
  await port.exec('begin');
  try {
    await port.query(`select pg_advisory_xact_lock(hashtext('punctual migrations'))`, []);
    const result = await work();
    await port.exec('commit');
    return result;
  } catch (error) {
    await port.exec('rollback').catch(() => {}); // The connection itself may have failed.
    throw error;
  }
}
