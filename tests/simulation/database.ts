import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { migratePostgres } from '../../lib/store/migrate/migrate-postgres.ts';
import { storeErrorKind } from '../../lib/store/store-error-kind.ts';
import { readSources } from '../../scripts/schema/sources.ts';
import { type PostgresVersion, startPostgresServer } from '../stack/postgres-server.ts';
import makeSnapshot from '../support/global-setup.ts';
import { recorder, touched } from './recorder.ts';

interface Limit {
  rowMs: number;
  admits(touchedRows: number): boolean;
}

/** The freshly migrated database of one run, with the recorder installed. */
export interface SimulationDatabase {
  /** How many calls and statements have been sent. */
  readonly calls: number;
  /**
   * Calls a function of the schema `punctual` at an instant; throws a `StoreError`.
   *
   * `limit`: the milliseconds that one row takes to read or write, and whether a call may touch that many rows. If it may not, the call is
   * cancelled and rolled back.
   */
  call(fn: string, args: Record<string, unknown>, at: number, limit?: Limit): Promise<unknown>;
  /** Runs one statement as the owner, at an instant. Returns its one column `answer`, which is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
  sql(text: string, params: unknown[], at: number): Promise<any>;
  /** Saves a copy for `goBack`. No call may be under way. */
  save(): Promise<void>;
  /** Restores the saved copy. */
  goBack(): Promise<void>;
  close(): Promise<void>;
}

type Query = (text: string, params: unknown[]) => Promise<{ rows: { answer?: unknown; touched?: string }[] }>;

/** Opens a Postgres in this process, loaded from the tests' snapshot. */
export async function openEmbedded(file?: string): Promise<SimulationDatabase> {
  let db = await PGlite.create({ loadDataDir: new Blob([readFileSync(file ?? (await snapshotFile()))]) });
  await db.exec(recorder);
  let saved: Blob | undefined;
  return simulationDatabase((text, params) => db.query(text, params), {
    save: async () => {
      saved = await db.dumpDataDir('none');
    },
    goBack: async () => {
      await db.close();
      db = await PGlite.create({ loadDataDir: saved });
    },
    close: () => db.close(),
  });
}

let snapshot: Promise<string> | undefined;

function snapshotFile(): Promise<string> {
  snapshot ??= new Promise((resolve, reject) => {
    const project = { provide: (_key: string, file: string) => resolve(file) };
    makeSnapshot(project as unknown as TestProject).catch(reject);
  });
  return snapshot;
}

const template = 'simulation_template';

/** Starts a Postgres server (15, 17 or 18, by the variable STACK_POSTGRES) with a migrated template database. */
export async function startServer(): Promise<{ url: string; stop(): Promise<void> }> {
  const version = (process.env.STACK_POSTGRES as PostgresVersion | undefined) ?? '15';
  // No data outlives the server, so none has to be durable. Autovacuum is off because its statistics change plans and costs, and a seed would
  // not repeat.
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off' };
  const server = await startPostgresServer(version, settings);
  try {
    await asAdmin(server.url, `create database ${template}`);
    await migratePostgres(databaseUrl(server.url, template), [readSources(process.cwd())]);
    return { url: server.url, stop: () => server.stop() };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Creates and opens a database on that server. It has one connection, so its calls run one at a time. */
export async function openOnServer(serverUrl: string, name: string): Promise<SimulationDatabase> {
  // Postgres copies a template for one database at a time; others wait.
  await asAdmin(serverUrl, `create database ${name} template ${template}`);
  let client = new Client({ connectionString: databaseUrl(serverUrl, name) });
  await client.connect();
  await client.query(recorder);
  /** Closes the connection for statements that copy or drop the database, then connects again. */
  const withoutConnection = async (statements: string[]) => {
    await client.end();
    for (const statement of statements) await asAdmin(serverUrl, statement);
    client = new Client({ connectionString: databaseUrl(serverUrl, name) });
    await client.connect();
  };
  return simulationDatabase((text, params) => client.query(text, params), {
    save: () => withoutConnection([`create database ${name}_saved template ${name}`]),
    goBack: () =>
      withoutConnection([`drop database ${name}`, `alter database ${name}_saved rename to ${name}`]),
    close: async () => {
      await client.end();
      for (const one of [name, `${name}_saved`]) await asAdmin(serverUrl, `drop database if exists ${one}`);
    },
  });
}

async function asAdmin(serverUrl: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

function simulationDatabase(
  query: Query,
  server: Pick<SimulationDatabase, 'save' | 'goBack' | 'close'>,
): SimulationDatabase {
  let calls = 0;
  /** The last call in the line. A call takes several statements on the one connection, so calls wait for each other. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(send: () => Promise<T>): Promise<T> => {
    const own = last.then(send, send);
    last = own;
    return own;
  };
  const carryOut = async (text: string, params: unknown[], limit: Limit | undefined): Promise<unknown> => {
    try {
      if (!limit) return (await query(text, params)).rows[0]?.answer;
      await query('begin', []);
      await query(`set local simulation.row_ms = ${limit.rowMs.toFixed(3)}`, []);
      const { answer, touched } = (await query(text, params)).rows[0] ?? {};
      const isAdmitted = limit.admits(Number(touched));
      await query(isAdmitted ? 'commit' : 'rollback', []);
      if (isAdmitted) return answer;
      throw Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' });
    } catch (error) {
      if (limit) await query('rollback', []);
      const { code, message } = error as { code?: string; message: string };
      throw new StoreError(storeErrorKind(code ?? null), message, code ?? null);
    }
  };
  return {
    get calls() {
      return calls;
    },
    call(fn, args, at, limit) {
      const names = Object.keys(args).filter((name) => name !== 'p_now');
      const given = names.map((name, i) => `${name} => $${i + 3}`);
      // The recorder's triggers read the instant and the call's number. Setting them in the same statement saves a round trip.
      const call = `punctual.${fn}(${[...given, 'p_now => clock.now::timestamptz'].join(', ')}) as answer`;
      const clock = `set_config('simulation.now', $1, false) as now, set_config('simulation.call', $2, false) as call`;
      const before = `(${touched('true')}) as before, set_config('simulation.touched', (${touched('true')})::text, true)`;
      const text = limit
        ? `with clock as materialized (select ${clock}, ${before}), called as materialized (select ${call}, clock.before from clock) ` +
          `select c.answer, t.count - c.before as touched from called c cross join lateral (${touched('c.answer is not null')}) t`
        : `with clock as materialized (select ${clock}) select ${call} from clock`;
      const params = [
        new Date(at).toISOString(),
        `${++calls}`,
        ...names.map((name) => parameter(args[name])),
      ];
      return inTurn(() => carryOut(text, params, limit));
    },
    sql(text, params, at) {
      const clock = `select set_config('simulation.now', $1, false), set_config('simulation.call', $2, false)`;
      const setting = [new Date(at).toISOString(), `${++calls}`];
      return inTurn(async () => {
        await query(clock, setting);
        return (await query(text, params.map(parameter))).rows[0]?.answer;
      });
    },
    ...server,
  };
}

/** Encodes objects and lists of objects as JSON. Lists of strings become Postgres arrays. */
function parameter(value: unknown): unknown {
  const isPlainList =
    Array.isArray(value) && value.every((item) => typeof item === 'string') && value.length > 0;
  return value !== null && typeof value === 'object' && !isPlainList ? JSON.stringify(value) : value;
}
