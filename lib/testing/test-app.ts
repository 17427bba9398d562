import { createHash } from 'node:crypto';
import { PGlite } from '@electric-sql/pglite';
import type { CronCall } from '../cron/cron-call.ts';
import { type QueueReport, queueEndpoint } from '../cron/handlers/find-endpoint.ts';
import { silentLog } from '../engine/ports/log.ts';
import type { Punctual } from '../queues/define-punctual.ts';
import { type AnyQueue, findQueue } from '../queues/find-queue.ts';
import { registerApp, registeredApp } from '../queues/registered-app.ts';
import { serverEnv } from '../services/env.ts';
import { provideServices, type Services } from '../services/services.ts';
import { sharedReading } from '../services/shared-reading.ts';
import { migrateEmbedded } from '../store/embedded/migrate-embedded.ts';
import { type MigrationFile, readMigrations } from '../store/migrate/migrations.ts';
import { queueStore } from '../store/queue-store.ts';
import type { Rpc } from '../store/rpc.ts';
import { type MemoryDatabase, openSnapshot } from './memory-database.ts';
import { VirtualClock } from './virtual-clock.ts';

export { VirtualClock } from './virtual-clock.ts';

export interface TestAppOptions {
  /** The folder with Punctual's and the app's migrations; `supabase/migrations` by default. */
  migrations?: string;
  /** Settings, for example of a provider. The process's environment is not read. */
  env?: Record<string, string>;
  /** When the clock begins; now by default. */
  start?: string | number;
}

export interface TestApp {
  clock: VirtualClock;
  /**
   * Ticks a queue once, as its cron path does, and returns the report. `partition` names one of its partitions. No time passes while a handler runs.
   * Rejects with the error that the cron path would answer.
   */
  tick(queue: string | AnyQueue, options?: { partition?: string }): Promise<QueueReport>;
  /** Runs one statement as the database's owner. Values come back as in JSON. */
  sql: MemoryDatabase['sql'];
  /** Closes the database. */
  close(): Promise<void>;
}

/** The migrated databases of this process, by the hash of their migrations: migrating takes seconds, and loading a snapshot one. */
const snapshots = new Map<string, Promise<Blob>>();

/**
 * Opens an app for tests: its queues and jobs over an embedded Postgres in memory, under a virtual clock. The app's own functions, such as
 * `createJob`, use this database until it is closed. Throws a `MigrationError`.
 */
export async function testApp(
  punctual: Pick<Punctual, 'queues' | 'jobs'>,
  { migrations, env = {}, start }: TestAppOptions = {},
): Promise<TestApp> {
  const database = await openSnapshot(await snapshotOf(await readMigrations(migrations)));
  const clock = new VirtualClock(start ?? Date.now());
  const rpc = await atVirtualTime(database, clock);
  const services = servicesOf(rpc, clock, env);
  const queues = punctual.queues.map((queue) => inNoTime(queue, clock));
  const registered = registeredApp();
  registerApp({ queues, jobs: punctual.jobs });
  const restore = provideServices(services);

  return {
    clock,
    sql: database.sql,
    async tick(queue, { partition } = {}) {
      // A row that was inserted with the database's own time is due.
      if (start === undefined) clock.skip(Math.max(0, Date.now() + 1 - clock.now()));
      const name = typeof queue === 'string' ? queue : queue.name;
      const found = findQueue(name, queues);
      if (!found)
        throw new Error(`the app has no queue "${name}": it has ${queues.map((one) => one.name).join(', ')}`);
      return clock.run(tickOnce(found, services, clock.now(), partition));
    },
    async close() {
      restore();
      registerApp(registered);
      await database.close();
    },
  };
}

async function tickOnce(
  queue: AnyQueue,
  services: Services,
  startedAt: number,
  partition: string | undefined,
): Promise<QueueReport> {
  const { handler } = queueEndpoint(queue, queue.partitions === 'named' ? partition : undefined);
  const call: CronCall = {
    ...{ path: `/api/cron/${queue.name}`, scheduler: 'test', slot: null, schedule: null },
    ...{ continuation: 0, runId: crypto.randomUUID(), startedAt, maxDuration: 60 },
    params: new URLSearchParams(partition === undefined ? {} : { partition }),
  };
  const { body, fault } = await handler(services, call);
  if (fault !== undefined) throw fault;
  return body as QueueReport;
}

function servicesOf(rpc: Rpc, clock: VirtualClock, env: Record<string, string>): Services {
  const ports = {
    ...{ store: queueStore(rpc, clock.date), clock, log: silentLog, lock: null },
    ...{ random: () => 0.5, newId: () => crypto.randomUUID() },
  };
  const stats = sharedReading<never>(0, () => clock.now());
  return { env: serverEnv(env), log: silentLog, rpc, sql: null, listen: null, lock: null, ports, stats };
}

/** Passes the clock's time to each function that takes one. No virtual time passes during a call. */
async function atVirtualTime({ rpc, sql }: MemoryDatabase, clock: VirtualClock): Promise<Rpc> {
  const rows = await sql(
    `select distinct proname from pg_proc where pronamespace = 'punctual'::regnamespace and 'p_now' = any (proargnames)`,
  );
  const timed = new Set(rows.map(({ proname }) => proname));
  return (fn, args) => {
    const now = timed.has(fn) ? { p_now: args.p_now ?? clock.date().toISOString() } : {};
    return clock.busy(rpc(fn, { ...args, ...now }));
  };
}

/** The same queue, whose handler and checks take no virtual time. Otherwise its timeout would pass at once, because nothing else happens. */
function inNoTime(queue: AnyQueue, clock: VirtualClock): AnyQueue {
  const { perform, reconcile } = queue;
  return {
    ...queue,
    perform: (row, context) => clock.busy(Promise.resolve().then(() => perform.call(queue, row, context))),
    ...(reconcile && { reconcile: (row, context) => clock.busy(reconcile.call(queue, row, context)) }),
  };
}

function snapshotOf(files: MigrationFile[]): Promise<Blob> {
  const hash = createHash('sha256')
    .update(
      JSON.stringify(files.map(({ version, statements }) => [version, statements.map(({ text }) => text)])),
    )
    .digest('hex');
  const made = snapshots.get(hash) ?? makeSnapshot(files);
  snapshots.set(hash, made);
  return made;
}

async function makeSnapshot(files: MigrationFile[]): Promise<Blob> {
  const db = await PGlite.create();
  try {
    await migrateEmbedded(db, files);
    return await db.dumpDataDir('none');
  } finally {
    await db.close();
  }
}
