import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gunzipSync } from 'node:zlib';
import { splitStatements } from '../../lib/store/migrate/sql-statements.ts';
import type { TestDatabase } from './test-database.ts';

/**
 * Returns pgmq's own SQL, from the package `@electric-sql/pglite-pgmq` or from the file that PGMQ_SQL names. Without the extension the SQL
 * creates its own schema, as pgmq documents for servers that lack the extension.
 */
export function pgmqSql(): string {
  const named = process.env.PGMQ_SQL;
  if (named) return readFileSync(named, 'utf8');
  const bundle = createRequire(import.meta.url)
    .resolve('@electric-sql/pglite-pgmq')
    .replace(/[^/\\]+$/, 'pgmq.tar.gz');
  const files = readTar(gunzipSync(readFileSync(bundle)));
  const version = /default_version = '([^']+)'/.exec(files.get('pgmq.control') ?? '')?.[1];
  const sql = files.get(`pgmq--${version}.sql`);
  if (!sql) throw new Error(`${bundle} holds no pgmq--${version}.sql`);
  return sql;
}

/** Installs pgmq as the extension would, with the same SQL over either transport. */
export async function installPgmq(database: Pick<TestDatabase, 'sql'>): Promise<void> {
  for (const { text } of splitStatements(pgmqSql())) await database.sql(text);
}

/** Reads the files of a tar by name without folders. Source: POSIX.1-1988, ustar: headers and contents in blocks of 512 bytes. */
function readTar(tar: Buffer): Map<string, string> {
  const files = new Map<string, string>();
  const field = (at: number, length: number) =>
    tar
      .subarray(at, at + length)
      .toString()
      .replace(/\0.*$/s, '');
  for (let at = 0; tar[at]; ) {
    const size = Number.parseInt(field(at + 124, 12), 8);
    const name = field(at, 100).split('/').at(-1) ?? '';
    files.set(name, tar.subarray(at + 512, at + 512 + size).toString());
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
