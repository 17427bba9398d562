import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gunzipSync } from 'node:zlib';
import { splitStatements } from '../../lib/store/sql-statements.ts';
import type { TestDatabase } from './test-database.ts';

/**
 * pgmq's own SQL, of the version that the package `@electric-sql/pglite-pgmq` bears, or of the file that PGMQ_SQL names. It makes its schema
 * itself where it is not installed as an extension, which is the way that pgmq documents for servers without the extension.
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

/** Turns pgmq on, as the extension would: the same SQL over either transport. */
export async function installPgmq(database: Pick<TestDatabase, 'sql'>): Promise<void> {
  for (const { text } of splitStatements(pgmqSql())) await database.sql(text);
}

/** The texts of the files of a tar, by their names without folders. Source: POSIX.1-1988, ustar: headers and contents in blocks of 512. */
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
