/**
 * Writes the dump from which the upgrade test starts: `npx tsx tests/upgrade/make-fixture.ts 0.2.0`. Run it once per release, before you add
 * the first migration after that release. It needs `npm run stack:install`.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { binaries } from '../stack/postgres-server.ts';
import { startStack } from '../stack/start-stack.ts';
import type { TestDatabase } from '../support/test-database.ts';
import { fillDatabase } from './fill-database.ts';

const [release] = process.argv.slice(2);
if (!release) throw new Error('Name the release: npx tsx tests/upgrade/make-fixture.ts 0.2.0');

const stack = await startStack({ postgres: '15', schema: 'migrations' });
try {
  await fillDatabase({
    rpc: supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey }),
    sql: stack.sql,
  } as TestDatabase);
  const dump = execFileSync(`${binaries[15]}/pg_dump`, ['--inserts', '--no-owner', stack.databaseUrl], {
    maxBuffer: 2 ** 28,
    encoding: 'utf8',
  });
  // Other clients do not know psql's commands.
  const sql = dump.replace(/^\\.*$/gm, '');
  writeFileSync(
    new URL(`../fixtures/upgrade/${release}.sql.gz`, import.meta.url),
    gzipSync(sql, { level: 9 }),
  );
} finally {
  await stack.stop();
}
