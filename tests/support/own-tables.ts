import { afterEach, beforeEach } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { testDatabase } from './fixtures.ts';
import type { TestDatabase } from './test-database.ts';

/** Opens a database of the file's own, which has an empty schema `app` in each test. */
export function appDatabase(): TestDatabase {
  const database = testDatabase({ own: true });
  beforeEach(() => database.sql('create schema app'));
  afterEach(() => database.sql('drop schema if exists app cascade'));
  return database;
}

export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Inserts a row and returns its id. The columns need no quotes. */
export async function insertRow(
  database: TestDatabase,
  table: string,
  row: Record<string, unknown>,
): Promise<string> {
  const columns = Object.keys(row);
  const [{ id }] = await database.sql(
    `insert into ${table} (${columns.map(quoted)}) values (${columns.map((_, n) => `$${n + 1}`)}) returning id::text`,
    Object.values(row),
  );
  return String(id);
}

/** Reads each queue's part of the stats. */
export async function readQueueStats(database: TestDatabase, now: string) {
  const { queues } = statsSchema.parse(await database.rpc('read_stats', { p_now: now }));
  return Object.fromEntries(queues.map((queue) => [queue.name, queue]));
}
