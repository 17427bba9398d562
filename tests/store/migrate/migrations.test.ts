import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  applyMigrations,
  isPunctuals,
  type MigrationPort,
  readMigrations,
} from '@/lib/store/migrate/migrations.ts';
import { schemaState, schemaVersion } from '@/lib/store/migrate/schema-version.ts';
import { splitStatements } from '@/lib/store/migrate/sql-statements.ts';

let folder: string;
const write = (file: string, sql: string) => writeFile(path.join(folder, file), sql);

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'punctual-migrations-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('readMigrations', () => {
  test('reads SQL files in order of version and ignores other files', async () => {
    await write('20260102000000_second_step.sql', 'select 2');
    await write('20260101000000_first.sql', 'select 1; select 1');
    await write('README.md', '');
    const files = await readMigrations(folder);
    expect(files.map((file) => [file.version, file.name, file.statements.length])).toEqual([
      ['20260101000000', 'first', 2],
      ['20260102000000', 'second_step', 1],
    ]);
  });

  test.each(['0001_short.sql', '20260101000000.sql', 'seed.sql'])('refuses the name %s', async (name) => {
    await write(name, 'select 1');
    await expect(readMigrations(folder)).rejects.toThrow(`${name}: the name must be`);
  });

  test('refuses two files of one version, and a folder that is missing or has no migrations', async () => {
    await expect(readMigrations(path.join(folder, 'none'))).rejects.toThrow('cannot be read');
    await expect(readMigrations(folder)).rejects.toThrow('holds no migrations');
    await write('20260101000000_a.sql', '');
    await write('20260101000000_b.sql', '');
    const message = /_a\.sql and 20260101000000_b\.sql have the same version/;
    await expect(readMigrations(folder)).rejects.toThrow(message);
  });
});

describe('Punctual’s own migrations', () => {
  test('each end by recording themselves, and the code needs the latest', async () => {
    const own = await readMigrations();
    const closing = `select punctual.close_to_public()`;
    // Your own migrations in the same folder need not.
    const recording = own.filter(({ statements }) => statements.some(({ text }) => text.endsWith(closing)));
    expect(recording.map(({ statements }) => statements.at(-1)?.text)).toEqual(
      recording.map(({ version, name }) => `select punctual.note_migration('${version}', '${name}')`),
    );
    expect(recording.at(-1)?.version).toBe(schemaVersion);
  });

  test('say whether a database’s schema is up to date, behind the code or ahead of it', () => {
    const next = String(BigInt(schemaVersion) + 1n);
    const former = String(BigInt(schemaVersion) - 1n);
    expect([schemaVersion, former, null, next].map(schemaState)).toEqual(['ok', 'behind', 'behind', 'ahead']);
  });
});

describe('statements', () => {
  const texts = (sql: string) => splitStatements(sql).map((statement) => statement.text);

  test('end at semicolons, except inside quotes, comments, rules and function bodies', () => {
    const statements = [
      `select 'a;''b', "c;""d", e'\\';' -- e;f\n from u`,
      `/* g; /* h; */ i; */ select $$ j; $$, $tag$ k; $$ l; $tag$, a$1$b from t`,
      'create rule r as on insert to t do (select 1; select 2)',
      'create function f() returns int begin atomic select 1; select case when true then 2 end; end',
      'select $1',
    ];
    expect(texts(`${statements.join(';\n')};;\n`)).toEqual(statements);
  });

  test('have the line of their first word, after any comments', () => {
    expect(splitStatements('select 1;\n\n-- why\n/* and\nhow */\ndrop table t')).toMatchObject([
      { line: 1, verb: 'select' },
      { line: 6, textLine: 3, verb: 'drop' },
    ]);
  });

  test('with an unclosed quote are passed on for Postgres to refuse', () => {
    expect(texts(`select 1; select 'a; select 2`)).toHaveLength(2);
    expect(texts('select 1; select $$a; select 2')).toHaveLength(2);
  });
});

describe('applyMigrations', () => {
  let db: PGlite;
  let port: MigrationPort;
  beforeAll(async () => {
    db = await PGlite.create();
    port = {
      exec: (sql) => db.exec(sql),
      query: async (sql, params) => (await db.query<never>(sql, params)).rows,
    };
  });
  afterAll(() => db.close());
  afterEach(() => db.exec('drop schema if exists supabase_migrations, punctual, t cascade'));

  const query = async (sql: string, params?: unknown[]) => (await db.query(sql, params)).rows;
  const apply = async () =>
    (await applyMigrations(port, await readMigrations(folder))).map((file) => file.name);
  const schemas = () =>
    query(
      `select to_regnamespace('t')::text t, to_regnamespace('punctual')::text punctual, to_regnamespace('supabase_migrations')::text supabase`,
    );
  const noted = () =>
    query('select version, name, engine, checksum from punctual.schema_migrations order by version');

  test.each([
    ['has the schema of 0.1.0', 'create schema punctual; create table punctual.queues ()', 'before 0.2.0'],
    [
      'has the migration under another tool’s history',
      `create schema punctual; create table punctual.queues ();
       create table punctual.schema_migrations (version text, engine boolean);
       insert into punctual.schema_migrations values ('20261129000000', true)`,
      'has this migration already',
    ],
  ])('the first of Punctual’s own stops where the database %s', async (_name, before, message) => {
    await db.exec(before);
    const [first] = (await readMigrations()).filter(isPunctuals);
    await expect(db.exec(first?.statements[0]?.text ?? '')).rejects.toThrow(message);
  });

  test('runs each file once, and creates no history of Supabase’s', async () => {
    await write('20260101000000_one.sql', '-- why\ncreate schema t;\ncreate table t.a ();\n-- the end\n');
    expect(await apply()).toEqual(['one']);
    await write('20260102000000_two.sql', `create table t.b (x text default 'a;b');`);
    expect(await apply()).toEqual(['two']);
    expect(await apply()).toEqual([]);
    expect(await noted()).toMatchObject([
      { version: '20260101000000', name: 'one', engine: false },
      { version: '20260102000000', name: 'two', engine: false },
    ]);
    expect(await schemas()).toMatchObject([{ supabase: null }]);
  });

  describe('beside supabase db push', () => {
    /** Runs a file and records it as Supabase's CLI does. Earlier versions of this runner recorded files the same way. */
    async function push(version: string, name: string, sql: string) {
      await db.exec(`create schema if not exists supabase_migrations;
        create table if not exists supabase_migrations.schema_migrations (version text not null primary key, statements text[], name text);`);
      await db.exec(sql);
      const statements = splitStatements(sql).map(({ text }) => text);
      const insert = 'insert into supabase_migrations.schema_migrations values ($1, $2, $3)';
      await query(insert, [version, statements, name]);
    }

    test('takes over the entries of Supabase’s history, reports them once, and keeps them there', async () => {
      await push('20260101000000', 'one', 'create schema t;');
      await write('20260101000000_one.sql', 'create schema t;\n');
      await write('20260102000000_two.sql', 'create table t.a ();');
      const takenOver: string[] = [];
      const onTakenOver = (files: { name: string }[]) => takenOver.push(...files.map(({ name }) => name));
      const files = await readMigrations(folder);
      expect((await applyMigrations(port, files, { onTakenOver })).map(({ name }) => name)).toEqual(['two']);
      await applyMigrations(port, files, { onTakenOver });
      expect(takenOver).toEqual(['one']);
      const kept = await query('select version from supabase_migrations.schema_migrations');
      expect(kept).toEqual([{ version: '20260101000000' }]);
      // You may tell Supabase's CLI to forget entries that have no file in your project.
      await db.exec('drop schema supabase_migrations cascade');
      expect(await apply()).toEqual([]);
    });

    test('refuses a file that was changed after db push applied it', async () => {
      await push('20260101000000', 'one', 'create schema t;');
      await write('20260101000000_one.sql', 'create schema other;');
      await expect(apply()).rejects.toThrow('20260101000000_one.sql was changed after it was applied');
    });

    test('counts Punctual’s own migrations as applied if db push ran them, because they record themselves', async () => {
      const own = await readMigrations();
      for (const { version, name, statements } of own)
        await push(version, name, statements.map(({ text }) => `${text};`).join('\n'));
      expect(await applyMigrations(port, own, { dryRun: true })).toEqual([]);
      const entries = own.map(({ version, name }) => ({ version, name, engine: true, checksum: null }));
      expect(await noted()).toEqual(entries);
      const version = await query('select punctual.schema_version() as version');
      expect(version).toEqual([{ version: schemaVersion }]);
      await db.exec('drop schema supabase_migrations cascade');
      expect(await applyMigrations(port, own)).toEqual([]);
    });
  });

  test('creates the same history table as the first migration', async () => {
    const columns = () =>
      query(
        `select column_name, data_type, is_nullable, column_default from information_schema.columns
          where table_schema = 'punctual' and table_name = 'schema_migrations' order by ordinal_position`,
      );
    await write('20260101000000_one.sql', 'create schema t;');
    await apply();
    const created = await columns();
    await db.exec('drop schema punctual cascade; create schema punctual');
    const [first] = await readMigrations();
    const isTable = ({ text }: { text: string }) => /create table\b.*schema_migrations/.test(text);
    await db.exec(first?.statements.find(isTable)?.text ?? '');
    expect(created).toHaveLength(5);
    expect(await columns()).toEqual(created);
  });

  test('rolls back the whole file of a failed statement, keeps earlier files, and names the line', async () => {
    await write('20260101000000_good.sql', 'create schema t;');
    await write('20260102000000_bad.sql', '-- a\ncreate table t.a ();\n\nselect\n  nothing_of_that_name;');
    const file = '20260102000000_bad.sql';
    const message = expect.stringContaining(`${file}, line 5, column 3: column "nothing_of_that_name"`);
    await expect(apply()).rejects.toMatchObject({ message, file, line: 5, code: '42703' });
    expect(await query(`select to_regnamespace('t')::text t, to_regclass('t.a') a`)).toEqual([
      { t: 't', a: null },
    ]);
    await write('20260102000000_bad.sql', 'create table t.a ();');
    expect(await apply()).toEqual(['bad']);
  });

  test('names the line of the statement if the error has no position', async () => {
    await write('20260101000000_bad.sql', `select 1;\n\n-- about it\nalter table t.none add x int;`);
    await expect(apply()).rejects.toMatchObject({ line: 4, code: '3F000' });
  });

  test('refuses a file that ends its transaction', async () => {
    await write('20260101000000_bad.sql', 'create schema t;\ncommit;');
    await expect(apply()).rejects.toThrow(/line 2: COMMIT/);
    expect(await schemas()).toMatchObject([{ t: null }]);
  });

  test('refuses a file that was changed after it was applied, unless only its white space changed', async () => {
    await write('20260101000000_one.sql', 'create schema t;');
    await apply();
    await write('20260101000000_one.sql', 'create\n  schema t;\n');
    expect(await apply()).toEqual([]);
    await write('20260101000000_one.sql', 'create schema other;');
    await expect(apply()).rejects.toThrow('20260101000000_one.sql was changed after it was applied');
  });

  test('refuses a file that comes before an applied one', async () => {
    await write('20260102000000_two.sql', 'create schema t;');
    await apply();
    await write('20260101000000_one.sql', 'create table t.a ();');
    await expect(apply()).rejects.toThrow(/one\.sql comes before 20260102000000_two\.sql/);
  });

  test('applies a file of Punctual’s after a newer one of your own', async () => {
    const recordSql = (version: string) => `select punctual.note_migration('${version}', 'step')`;
    await write(
      '20260101000000_first.sql',
      `create function punctual.note_migration(text, text) returns void language sql as 'select';
       ${recordSql('20260101000000')};`,
    );
    await write('20260104000000_mine.sql', 'create schema t;');
    expect(await apply()).toEqual(['first', 'mine']);
    await write('20260103000000_release.sql', `create table t.a (); ${recordSql('20260103000000')};`);
    expect(await apply()).toEqual(['release']);
    await write('20260102000000_late.sql', recordSql('20260102000000'));
    await expect(apply()).rejects.toThrow(/late\.sql comes before 20260103000000_release\.sql/);
  });

  test('skips versions that another tool applied, even if it did not keep their statements', async () => {
    await db.exec(`create schema supabase_migrations;
      create table supabase_migrations.schema_migrations (version text not null primary key);
      insert into supabase_migrations.schema_migrations values ('20270101000000'), ('20260101000000')`);
    await write('20260101000000_one.sql', 'this would fail');
    await write('20260102000000_two.sql', 'create schema t;');
    expect(await apply()).toEqual(['two']);
  });
});
