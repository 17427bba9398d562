import { existsSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { StoreError } from '../../engine/ports/store-error.ts';
import type { ServerEnv } from '../../services/env.ts';
import { openEmbeddedDatabase } from '../../store/embedded/embedded-database.ts';
import { ConnectError, withPostgres } from '../../store/migrate/migrate-postgres.ts';
import { schemaState, schemaVersion } from '../../store/migrate/schema-version.ts';
import { directoryInUseCode, type Rpc } from '../../store/rpc.ts';
import { supabaseRpc } from '../../store/supabase-rpc.ts';
import { migrationsFolder } from '../project/missing-migrations.ts';
import { type Finding, fail, pass, warn } from './finding.ts';
import { grantFindings, grantsSql } from './grants.ts';

const health = z.object({
  schema: z.string().nullish(),
  queues: z.array(z.object({ name: z.string(), last_tick_seconds: z.number().nullable() })),
});

/** Seconds since each queue's last tick, by its name; null before the first. */
export type LastTicks = Map<string, number | null>;

export interface DatabaseReport {
  findings: Finding[];
  /** Null if the database does not say. */
  lastTicks: LastTicks | null;
}

/** Checks the app's database, and at DATABASE_URL the grants. Writes nothing, but the embedded database applies its migrations. */
export async function checkDatabase(
  folder: string,
  env: ServerEnv,
  source: NodeJS.ProcessEnv,
): Promise<DatabaseReport> {
  if (env.store.kind === 'embedded') return checkEmbedded(folder, env.store.directory);
  if (env.store.kind === 'postgres') throw new Error('the app never reads DATABASE_URL');
  const report = await readHealth(supabaseRpc(env.store));
  report.findings.push(...(await checkPublicKey(env.store.url, source)), ...(await checkGrants(source)));
  return report;
}

async function checkEmbedded(folder: string, directory: string): Promise<DatabaseReport> {
  const place = path.resolve(folder, directory);
  if (!existsSync(place)) {
    const text = `database: the embedded one in ${directory}, which the app creates when it starts`;
    return { findings: [pass(text)], lastTicks: null };
  }
  const silent = () => {};
  try {
    const database = await openEmbeddedDatabase(place, silent, path.join(folder, migrationsFolder));
    try {
      const report = await readHealth(database.rpc);
      const [grants] = await database.sql(grantsSql);
      return { ...report, findings: [...report.findings, ...grantFindings(grants?.rows[0]?.[0])] };
    } finally {
      await database.close();
    }
  } catch (error) {
    const isInUse = error instanceof StoreError && error.code === directoryInUseCode;
    const finding = isInUse
      ? warn(
          `database: the app has the embedded one in ${directory} open, so it was not checked`,
          'Stop the app, and run this again.',
        )
      : fail(
          `database: ${(error as Error).message}`,
          'Correct the migration, or remove the directory to start anew.',
        );
    return { findings: [finding], lastTicks: null };
  }
}

async function readHealth(rpc: Rpc): Promise<DatabaseReport> {
  try {
    const { schema = null, queues } = health.parse(await rpc('read_health', {}));
    const lastTicks = new Map(queues.map((queue) => [queue.name, queue.last_tick_seconds]));
    return { findings: [pass('database: it answers'), schemaFinding(schema)], lastTicks };
  } catch (error) {
    return { findings: [databaseFault(error)], lastTicks: null };
  }
}

function schemaFinding(version: string | null): Finding {
  const state = schemaState(version);
  if (state === 'ok') return pass(`schema: ${schemaVersion}`);
  if (state === 'ahead')
    return warn(
      `schema: ${version} is newer than this code, which needs ${schemaVersion}`,
      'Deploy the newer code.',
    );
  return fail(
    `schema: ${version ?? 'none'} is older than this code, which needs ${schemaVersion}, so nothing ticks`,
    'Run: npx punctual upgrade, then npx punctual migrate',
  );
}

function databaseFault(error: unknown): Finding {
  const { code, message } = error as StoreError;
  const text = `database: ${message}`;
  if (code === 'PGRST106')
    return fail(text, 'Supabase, Integrations → Data API → Settings → Exposed schemas: add punctual.');
  if (code === 'PGRST202' || code === '42883' || code === '3F000')
    return fail(text, 'The migrations are missing. Run: npx punctual migrate');
  if (code === '401') return fail(text, 'Set SUPABASE_SECRET_KEY to a key of this project.');
  return fail(text, 'Look at SUPABASE_URL, and whether the project is paused.');
}

/** The public key of a browser must not reach Punctual's functions. */
async function checkPublicKey(url: string, source: NodeJS.ProcessEnv): Promise<Finding[]> {
  const names = ['NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY', 'NEXT_PUBLIC_SUPABASE_ANON_KEY'];
  const key = names.map((name) => source[name]?.trim()).find(Boolean);
  if (!key) return [];
  return supabaseRpc({ url, serviceRoleKey: key })('read_health', {}).then(
    () => [fail('grants: the public key of the project may call Punctual', closeMend)],
    () => [pass('grants: the public key of the project may not call Punctual')],
  );
}

const closeMend = 'Run in the SQL editor: select punctual.close_to_public();';

async function checkGrants({ DATABASE_URL: url }: NodeJS.ProcessEnv): Promise<Finding[]> {
  if (!url) return [warn('grants: not checked', 'Set DATABASE_URL for this command to check them.')];
  try {
    const [row] = await withPostgres(url, (query) => query(grantsSql));
    return grantFindings(row?.faults);
  } catch (error) {
    const mend =
      error instanceof ConnectError ? 'Correct DATABASE_URL.' : 'Run npx punctual migrate, then this again.';
    return [fail(`grants: ${(error as Error).message}`, mend)];
  }
}
