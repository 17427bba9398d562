import { PGlite } from '@electric-sql/pglite';
import { pgliteRpc } from '../store/embedded/pglite-rpc.ts';
import type { Rpc } from '../store/rpc.ts';

/** An embedded Postgres in memory. */
export interface MemoryDatabase {
  rpc: Rpc;
  /** Runs one statement as the owner. Values come back as in JSON: numbers, ISO strings, objects. */
  // biome-ignore lint/suspicious/noExplicitAny: rows of any shape
  sql(text: string, params?: unknown[]): Promise<any[]>;
  close(): Promise<void>;
}

/** Loads a snapshot, as `dumpDataDir` of PGlite writes it. Takes about a second. */
export async function openSnapshot(snapshot: Blob): Promise<MemoryDatabase> {
  const db = await PGlite.create({ loadDataDir: snapshot });
  // A call must not stop early because the machine is slow.
  await db.exec('set punctual.call_ms = 60000');
  return {
    rpc: pgliteRpc(db),
    async sql(text, params = []) {
      const { rows } = await db.query(text, params);
      return asJson(rows);
    },
    close: () => db.close(),
  };
}

/** Converts the values of a driver as JSON has them: dates to ISO strings, counts to numbers. */
// biome-ignore lint/suspicious/noExplicitAny: rows of any shape
export function asJson(rows: unknown[]): any[] {
  return JSON.parse(
    JSON.stringify(rows, (_key, value) =>
      typeof value === 'bigint' || (typeof value === 'string' && /^\d{1,15}$/.test(value))
        ? Number(value)
        : value,
    ),
  );
}
