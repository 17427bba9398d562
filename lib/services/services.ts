import { systemClock } from '../engine/ports/clock.ts';
import type { Log } from '../engine/ports/log.ts';
import type { OverlapLock } from '../engine/ports/overlap-lock.ts';
import type { TickPorts } from '../engine/tick.ts';
import { upstashLock } from '../locks/upstash-lock.ts';
import type { RunSql } from '../store/embedded/pglite-sql.ts';
import { schemaVersion } from '../store/migrate/schema-version.ts';
import type { Listen } from '../store/postgres-rpc.ts';
import { queueStore } from '../store/queue-store.ts';
import type { Rpc } from '../store/rpc.ts';
import type { Stats } from '../store/stats.ts';
import { supabaseRpc } from '../store/supabase-rpc.ts';
import { type ServerEnv, serverEnv } from './env.ts';
import { serverLog } from './log.ts';
import { type SharedReading, sharedReading } from './shared-reading.ts';

/** Services that the server's parts share. They are made from the environment on first use, never at build time. */
export interface Services {
  env: ServerEnv;
  log: Log;
  rpc: Rpc;
  /** Null but on the embedded database. */
  sql: RunSql | null;
  /** Null but on a direct connection to Postgres. */
  listen: Listen | null;
  lock: OverlapLock | null;
  ports: TickPorts;
  /** The dashboard's figures: see `readStats`. */
  stats: SharedReading<Stats>;
}

/** Half of the dashboard's polling interval, in milliseconds. */
const statsMs = 1_000;

/** Pages and routes share it, although Next bundles them apart, and it survives hot reloads: the embedded database may be opened only once. */
const globals = globalThis as typeof globalThis & { punctual?: Promise<Services> };

/**
 * Returns the shared services. `keepsConnections`: the process lives longer than a call, and may connect to Postgres directly. Throws an `EnvError`
 * for a wrong setting and a `StoreError` if the database cannot be opened; the next call tries again.
 */
export function getServices(options: { keepsConnections?: boolean } = {}): Promise<Services> {
  globals.punctual ??= makeServices(serverEnv(undefined, options)).catch((error) => {
    globals.punctual = undefined;
    throw error;
  });
  return globals.punctual;
}

/**
 * Makes the functions of this process use these services; with null they make their own on first use. For tests. Returns a function that restores
 * those before.
 */
export function provideServices(services: Services | Promise<Services> | null): () => void {
  const before = globals.punctual;
  globals.punctual = services === null ? undefined : Promise.resolve(services);
  return () => {
    globals.punctual = before;
  };
}

export async function makeServices(env: ServerEnv): Promise<Services> {
  const log = serverLog(env.logLevel);
  const newId = () => crypto.randomUUID();
  const { rpc, sql, listen = null } = await openStore(env.store, log);
  const lock = env.upstash ? upstashLock({ ...env.upstash, clock: systemClock, log, newId }) : null;
  const store = queueStore(rpc, undefined, (schema) =>
    log.warn({ schema, needed: schemaVersion }, 'the database is ahead of this code: deploy the newer code'),
  );
  return {
    env,
    log,
    rpc,
    sql,
    listen,
    lock,
    ports: { store, clock: systemClock, log, random: Math.random, newId, lock },
    stats: sharedReading(statsMs, systemClock.now),
  };
}

/** Imports on first use what a function on Supabase never needs: the driver of Postgres, and 10 MB of WebAssembly. */
async function openStore(
  store: ServerEnv['store'],
  log: Log,
): Promise<{ rpc: Rpc; sql: RunSql | null; listen?: Listen }> {
  if (store.kind === 'supabase') return { rpc: supabaseRpc(store), sql: null };
  if (store.kind === 'embedded') return openEmbedded(store.directory, log);
  const { postgresRpc } = await import('../store/postgres-rpc.ts');
  const { rpc, listen } = postgresRpc(store);
  return { rpc, sql: null, listen };
}

async function openEmbedded(directory: string, log: Log): Promise<{ rpc: Rpc; sql: RunSql }> {
  const { openEmbeddedDatabase } = await import('../store/embedded/embedded-database.ts');
  return openEmbeddedDatabase(directory, (text) => log.warn({ notice: text }, 'a migration raised a notice'));
}
