import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { Client } from 'pg';
import type { TestProject } from 'vitest/node';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import { migratePostgres } from '../../lib/store/migrate-postgres.ts';
import { storeErrorKind } from '../../lib/store/store-error-kind.ts';
import { readSources } from '../../scripts/schema/sources.ts';
import { type PostgresVersion, startPostgresServer } from '../stack/postgres-server.ts';
import makeSnapshot from '../support/global-setup.ts';
import { recorder, touched } from './recorder.ts';

interface Limit {
  rowMs: number;
  admits(touchedRows: number): boolean;
}

/** The database of one run: freshly migrated, with the recorder of the simulation in it. */
export interface SimulationDatabase {
  /** How many calls and statements were sent so far. */
  readonly calls: number;
  /**
   * Calls a function of the schema `punctual` at an instant; throws a `StoreError`.
   *
   * `limit`: how long one row takes to be read or written, and whether the call may last as long as that many rows take; where not it is
   * cancelled, and nothing of it stays.
   */
  call(fn: string, args: Record<string, unknown>, at: number, limit?: Limit): Promise<unknown>;
  /** One statement as the owner, at an instant. Its one column `answer` is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
  sql(text: string, params: unknown[], at: number): Promise<any>;
  /** Keeps a copy of all of it, for `goBack`. Nothing else may be under way. */
  save(): Promise<void>;
  /** Is again as it was when it was saved. */
  goBack(): Promise<void>;
  close(): Promise<void>;
}

type Query = (text: string, params: unknown[]) => Promise<{ rows: { answer?: unknown; touched?: string }[] }>;

/** Postgres in this process, loaded from the snapshot of the tests. */
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

/** A Postgres server of its own (15, 17 or 18, by the variable STACK_POSTGRES), with a migrated database to copy. */
export async function startServer(): Promise<{ url: string; stop(): Promise<void> }> {
  const version = (process.env.STACK_POSTGRES as PostgresVersion | undefined) ?? '15';
  // Nothing here outlives the server, so nothing has to be safe on disk. What autovacuum learns, and when, changes plans, and so what a call costs:
  // a seed would not repeat itself.
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

/** A database of its own on that server. One connection: calls are carried out one after the other. */
export async function openOnServer(serverUrl: string, name: string): Promise<SimulationDatabase> {
  // Copies wait for each other: the template takes one at a time.
  await asAdmin(serverUrl, `create database ${name} template ${template}`);
  let client = new Client({ connectionString: databaseUrl(serverUrl, name) });
  await client.connect();
  await client.query(recorder);
  /** What is copied or dropped may have no connection. */
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
  /** What is under way: each takes several statements, and there is one connection. */
  let before: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const own = before.then(work, work);
    before = own;
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
      // The recorder's triggers read the instant and the call: they are set in the call itself, which spares a second one.
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

/** Objects and lists of objects travel as JSON, lists of strings as Postgres arrays. */
function parameter(value: unknown): unknown {
  const isPlainList =
    Array.isArray(value) && value.every((item) => typeof item === 'string') && value.length > 0;
  return value !== null && typeof value === 'object' && !isPlainList ? JSON.stringify(value) : value;
}
