import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { migratePostgres } from '@/lib/store/migrate/migrate-postgres.ts';
import { readMigrations } from '@/lib/store/migrate/migrations.ts';
import { type Stack, startStack } from '../../stack/start-stack.ts';
import { buildWorker } from '../../support/build-worker.ts';

let stack: Stack;
let folder: string;
const write = (file: string, sql: string) => writeFile(path.join(folder, file), sql);

beforeAll(async () => {
  buildWorker();
  stack = await startStack({ schema: 'empty' });
});
afterAll(() => stack?.stop());
beforeEach(async () => {
  await stack.sql('drop schema if exists supabase_migrations, punctual, t cascade');
  folder = await mkdtemp(path.join(tmpdir(), 'punctual-migrations-'));
  return () => rm(folder, { recursive: true });
});

/** Runs the program behind `npm run migrate`, in a folder without settings. */
function migrate(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const script = path.resolve('dist/cli.js');
  const { DATABASE_URL: _, ...env } = process.env;
  return new Promise((resolve) => {
    const options = ['--enable-source-maps', script, 'migrate', '--folder', folder, ...args];
    execFile(process.execPath, options, { cwd: folder, env }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

test('the command applies the folder once, as the owner role that Supabase gives its customers', async () => {
  await write('20260101000000_one.sql', 'create schema t;\ncreate table t.a (x int);');
  await write(
    '20260102000000_two.sql',
    `-- why\ncreate function t.f() returns text language sql as $$ select 'a;b'; $$;`,
  );
  const url = ['--url', stack.ownerUrl];
  const says = (text: string) => ({ code: 0, stdout: expect.stringContaining(text) });
  expect(await migrate(...url, '--dry-run')).toMatchObject(says('would apply 20260101000000_one.sql'));
  expect(await stack.sql(`select to_regnamespace('t') as t`)).toEqual([{ t: null }]);
  expect(await migrate(...url)).toMatchObject(says('2 of 2 migrations applied.'));
  expect(await migrate(...url)).toMatchObject(says('Nothing to do'));
  expect(await stack.sql('select version, name from punctual.schema_migrations order by version')).toEqual([
    { version: '20260101000000', name: 'one' },
    { version: '20260102000000', name: 'two' },
  ]);
});

test('the command says how to repair Supabase’s history if an earlier version wrote to it', async () => {
  await write('20260101000000_one.sql', 'create schema t;');
  await stack.sql(`set role postgres; create schema t; create schema supabase_migrations;
    create table supabase_migrations.schema_migrations (version text not null primary key, statements text[], name text);
    insert into supabase_migrations.schema_migrations values ('20260101000000', '{create schema t}', 'one');
    reset role`);
  const { code, stdout } = await migrate('--url', stack.ownerUrl);
  expect(code).toBe(0);
  expect(stdout).toContain('supabase migration repair --status reverted 20260101000000');
  expect((await migrate('--url', stack.ownerUrl)).stdout).toBe(
    'Nothing to do: all 1 migrations are applied.\n',
  );
});

test('the command prints notices that a migration raises, without those of Postgres', async () => {
  await write(
    '20260101000000_one.sql',
    `create schema t; create schema if not exists t; do $$ begin raise notice 'look at %', 't'; end $$;`,
  );
  const { stdout } = await migrate('--url', stack.ownerUrl);
  expect(stdout).toBe('look at t\napplied 20260101000000_one.sql\n1 of 1 migrations applied.\n');
});

test('three runners at once share the work, and none fails', async () => {
  await write('20260101000000_one.sql', 'create schema t; select pg_sleep(0.3);');
  for (let n = 2; n <= 9; n += 1) await write(`2026010${n}000000_step.sql`, `create table t.s${n} ();`);
  const files = await readMigrations(folder);
  const applied = await Promise.all([1, 2, 3].map(() => migratePostgres(stack.ownerUrl, files)));
  const names = (list: typeof files) => list.map(({ file }) => file).sort();
  expect(names(applied.flat())).toEqual(names(files));
});

test('the command names the file and line of bad SQL, and keeps nothing of that file', async () => {
  await write('20260101000000_one.sql', 'create schema t;\ncreate tabel t.a ();');
  const run = await migrate('--url', stack.ownerUrl);
  expect(run.code).toBe(1);
  expect(run.stderr).toContain(
    '20260101000000_one.sql, line 2, column 8: syntax error at or near "tabel" (42601)',
  );
  expect(await stack.sql(`select to_regnamespace('t') as t`)).toEqual([{ t: null }]);
});

test('the command says why it cannot reach the database, without the password', async () => {
  await write('20260101000000_one.sql', 'create schema t;');
  expect(await migrate()).toMatchObject({ code: 2, stderr: expect.stringContaining('Set DATABASE_URL') });

  const wrong = new URL(stack.ownerUrl);
  wrong.password = 'open-sesame';
  for (const [url, reason] of [
    [wrong.href, /password authentication failed/],
    ['postgres://me:open-sesame@127.0.0.1:1/db', /127\.0\.0\.1:1\/db.*ECONNREFUSED/],
    ['postgres://me:open-sesame#/@host/db', /Percent-encode/],
  ] as const) {
    const run = await migrate('--url', url);
    expect(run).toMatchObject({ code: 2, stderr: expect.stringMatching(reason) });
    expect(run.stderr).not.toContain('open-sesame');
  }
});
