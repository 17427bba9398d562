import { PGlite } from '@electric-sql/pglite';

/** A Postgres in this process's memory, which nothing outlives. */
export interface InMemoryDatabase {
  exec(sql: string): Promise<unknown>;
  query(sql: string, params?: unknown[]): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** Starts an empty Postgres in memory. Takes a second or two. */
export async function openInMemoryDatabase(): Promise<InMemoryDatabase> {
  const db = await PGlite.create();
  return {
    exec: (sql) => db.exec(sql),
    query: async (sql, params) => (await db.query<Record<string, unknown>>(sql, params)).rows,
    close: () => db.close(),
  };
}
