import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type SqlStatement, splitStatements } from './sql-statements';

export interface MigrationFile {
  /** Fourteen digits, `YYYYMMDDhhmmss`. */
  version: string;
  name: string;
  /** The file's name without its folder. */
  file: string;
  statements: SqlStatement[];
}

/** One connection, used by nobody else meanwhile: `pg`'s client and PGlite both fit in a line each. */
export interface MigrationPort {
  exec(sql: string): Promise<unknown>;
  query(sql: string, params: unknown[]): Promise<Record<string, unknown>[]>;
}

/** The folder or a file of it is not as it must be, or its SQL failed. Nothing of that file was applied. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
  constructor(
    message: string,
    readonly file: string | null = null,
    /** Line of the file, from 1. */
    readonly line: number | null = null,
    /** The SQLSTATE, where it was Postgres that refused. */
    readonly code: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Reads `<14 digits>_<name>.sql`, in order of version. Other files are left alone, except `.sql` files under
 * any other name: they would be skipped in silence.
 *
 * Throws `MigrationError`.
 */
export async function readMigrations(
  folder = path.join(process.cwd(), 'supabase/migrations'),
): Promise<MigrationFile[]> {
  // The bundler is not to follow these: on Vercel nothing migrates, and tracing them takes the whole project along.
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
  /** Only says what would be applied; writes nothing. */
  dryRun?: boolean;
  /** Called after each file's commit. */
  onApplied?: (file: MigrationFile) => void;
  /** Called with the files that only Supabase's own history had, once they are noted as applied. */
  onTakenOver?: (files: MigrationFile[]) => void;
}

/** A notice of Postgres; `pg` and PGlite have the same fields. */
export interface Notice {
  message?: string;
  /** The function of Postgres's source that sent it. */
  routine?: string;
}

/** Whether a `raise notice` of the migrations' SQL sent it. Postgres has notices of its own, such as "already exists, skipping". */
export function isRaised({ routine }: Notice): boolean {
  return routine === 'exec_stmt_raise';
}

/**
 * Applies the files that the database has not had yet, each in one transaction together with its row in `punctual.schema_migrations`.
 *
 * Supabase's own history, which `supabase db push` keeps, is read and never written: a file that it has is applied, and is noted as such. A
 * row of ours there would have `db push` refuse in a project that does not hold the file.
 *
 * Safe to run twice at once: the second runner waits and finds the work done.
 *
 * Resolves to the files it applied. Throws `MigrationError` for a file; other errors as the port throws them.
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

/** As the first migration has it: whatever folder is applied, the history is there before its first file. */
const createHistory = `
  create schema if not exists punctual;
  create table if not exists ${history} (
    version text primary key,
    name text not null,
    engine boolean not null default false,
    checksum text,
    applied_at timestamptz not null default now()
  )`;

/** By version, the checksum of what was applied, where it is known. */
type History = Map<string, string | null>;

async function readHistory(port: MigrationPort): Promise<History> {
  if (!(await hasTable(port, history))) return new Map();
  const rows = await port.query(`select version, checksum from ${history}`, []);
  return new Map(rows.map((row) => [String(row.version), row.checksum as string | null]));
}

/** Early versions of Supabase's CLI kept no statements. */
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
      // A release of Punctual may well be older than a person's own file that is applied: their orders are two.
      const isRelated = (other: MigrationFile) => notesItself(other) === notesItself(file);
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
        `${file.file} was changed after it was applied: put it back, and write the change as a new migration`,
        file.file,
      );
    }
  }
  return pending;
}

/** Of what is left when two tools' ways of cutting a file into statements are taken out. */
function checksumOf(statements: string[]): string {
  return createHash('sha256')
    .update(statements.join('').replace(/[\s;]+/g, ''))
    .digest('hex');
}

const notesItself = ({ statements }: MigrationFile) =>
  statements.at(-1)?.text.startsWith('select punctual.note_migration(') ?? false;

const textsOf = ({ statements }: MigrationFile) => statements.map(({ text }) => text);

/** Punctual's own files have noted themselves by then, without a checksum. */
async function note(port: MigrationPort, file: MigrationFile): Promise<void> {
  await port.query(
    `insert into ${history} (version, name, checksum) values ($1, $2, $3)
     on conflict (version) do update set checksum = excluded.checksum`,
    [file.version, file.name, checksumOf(textsOf(file))],
  );
}

/** False where another runner was first. */
async function applyFile(port: MigrationPort, file: MigrationFile): Promise<boolean> {
  const had = await port.query(`select 1 from ${history} where version = $1`, [file.version]);
  if (had.length > 0) return false;
  for (const statement of file.statements) {
    if (/^(begin|start|commit|end|rollback|abort)$/.test(statement.verb)) {
      throw new MigrationError(
        `${file.file}, line ${statement.line}: ${statement.verb.toUpperCase()}: each file already runs in one transaction`,
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

/** What Postgres tells of an error; `pg` and PGlite have the same fields. */
interface PostgresError {
  message: string;
  code?: string;
  /** Code points into the statement, from 1. */
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

/** The lock lives as long as the transaction, so that it holds behind a pooler of transactions as well. */
async function transaction<T>(port: MigrationPort, work: () => Promise<T>): Promise<T> {
  await port.exec('begin');
  try {
    await port.query(`select pg_advisory_xact_lock(hashtext('punctual migrations'))`, []);
    const result = await work();
    await port.exec('commit');
    return result;
  } catch (error) {
    await port.exec('rollback').catch(() => {}); // the connection may be what failed
    throw error;
  }
}
