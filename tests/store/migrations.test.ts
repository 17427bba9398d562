import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  applyMigrations,
  isRaised,
  type MigrationPort,
  type Notice,
  readMigrations,
} from '@/lib/store/migrations';
import { splitStatements } from '@/lib/store/sql-statements';

let folder: string;
const write = (file: string, sql: string) => writeFile(path.join(folder, file), sql);

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'punctual-migrations-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('the folder', () => {
  test('is read in order of version, and files other than SQL are left alone', async () => {
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

  test('refuses two files of one version', async () => {
    await write('20260101000000_a.sql', '');
    await write('20260101000000_b.sql', '');
    await expect(readMigrations(folder)).rejects.toThrow(
      /_a\.sql and 20260101000000_b\.sql have the same version/,
    );
  });

  test('refuses a folder that is not there, and one without migrations', async () => {
    await expect(readMigrations(path.join(folder, 'none'))).rejects.toThrow('cannot be read');
    await expect(readMigrations(folder)).rejects.toThrow('holds no migrations');
  });
});

describe('statements', () => {
  const texts = (sql: string) => splitStatements(sql).map((statement) => statement.text);

  test('end at semicolons, but not at those within quotes, comments, rules and bodies', () => {
    const statements = [
      `select 'a;''b', "c;""d", e'\\';' -- e;f\n from u`,
      `/* g; /* h; */ i; */ select $$ j; $$, $tag$ k; $$ l; $tag$, a$1$b from t`,
      'create rule r as on insert to t do (select 1; select 2)',
      'create function f() returns int begin atomic select 1; select case when true then 2 end; end',
      'select $1',
    ];
    expect(texts(`${statements.join(';\n')};;\n`)).toEqual(statements);
  });

  test('know the line of their first word, past comments', () => {
    expect(splitStatements('select 1;\n\n-- why\n/* and\nhow */\ndrop table t')).toMatchObject([
      { line: 1, verb: 'select' },
      { line: 6, textLine: 3, verb: 'drop' },
    ]);
  });

  test('with an unclosed quote are left for Postgres to refuse', () => {
    expect(texts(`select 1; select 'a; select 2`)).toHaveLength(2);
    expect(texts('select 1; select $$a; select 2')).toHaveLength(2);
  });
});

describe('applying', () => {
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
  afterEach(() => db.exec('drop schema if exists supabase_migrations, t cascade'));

  const apply = async () =>
    (await applyMigrations(port, await readMigrations(folder))).map((file) => file.name);
  const tables = async () =>
    (
      await db.query<{ name: string }>(
        `select relname as name from pg_class where relnamespace = to_regnamespace('t')`,
      )
    ).rows;

  test('runs each file once, and writes the rows that supabase db push writes', async () => {
    await write('20260101000000_one.sql', '-- why\ncreate schema t;\ncreate table t.a ();\n-- the end\n');
    expect(await apply()).toEqual(['one']);
    await write('20260102000000_two.sql', `create table t.b (x text default 'a;b');`);
    expect(await apply()).toEqual(['two']);
    expect(await apply()).toEqual([]);
    const { rows } = await db.query('select * from supabase_migrations.schema_migrations order by version');
    expect(rows).toEqual([
      {
        version: '20260101000000',
        name: 'one',
        statements: ['-- why\ncreate schema t', 'create table t.a ()', '-- the end'],
      },
      { version: '20260102000000', name: 'two', statements: [`create table t.b (x text default 'a;b')`] },
    ]);
  });

  test('a notice that a migration raises is told from Postgres’s own', async () => {
    const heard: Notice[] = [];
    await db.exec(
      `create schema t; create schema if not exists t; do $$ begin raise notice 'look at %', 't'; end $$`,
      {
        onNotice: (notice) => heard.push(notice),
      },
    );
    expect(heard).toHaveLength(2);
    expect(heard.filter(isRaised)).toMatchObject([{ message: 'look at t' }]);
  });

  test('a dry run names the files and writes nothing', async () => {
    await write('20260101000000_one.sql', 'create schema t');
    const files = await readMigrations(folder);
    expect(await applyMigrations(port, files, { dryRun: true })).toEqual(files);
    expect(
      (await db.query(`select to_regnamespace('t') t, to_regnamespace('supabase_migrations') s`)).rows,
    ).toEqual([{ t: null, s: null }]);
  });

  test('a statement that fails takes its whole file back, keeps the files before, and is named by line', async () => {
    await write('20260101000000_good.sql', 'create schema t;');
    await write('20260102000000_bad.sql', '-- a\ncreate table t.a ();\n\nselect\n  nothing_of_that_name;');
    await expect(apply()).rejects.toMatchObject({
      message: expect.stringContaining(
        '20260102000000_bad.sql, line 5, column 3: column "nothing_of_that_name"',
      ),
      file: '20260102000000_bad.sql',
      line: 5,
      code: '42703',
    });
    expect(await tables()).toEqual([]);
    await write('20260102000000_bad.sql', 'create table t.a ();');
    expect(await apply()).toEqual(['bad']);
  });

  test('an error without a position is named by its statement', async () => {
    await write('20260101000000_bad.sql', `select 1;\n\n-- about it\nalter table t.none add x int;`);
    await expect(apply()).rejects.toMatchObject({ line: 4, code: '3F000' });
  });

  test('a file that ends its transaction is refused', async () => {
    await write('20260101000000_bad.sql', 'create schema t;\ncommit;');
    await expect(apply()).rejects.toThrow(/line 2: COMMIT/);
    expect((await db.query(`select to_regnamespace('t') t`)).rows).toEqual([{ t: null }]);
  });

  test('a file that was changed after it was applied is refused, unless only in its white space', async () => {
    await write('20260101000000_one.sql', 'create schema t;');
    await apply();
    await write('20260101000000_one.sql', 'create\n  schema t;\n');
    expect(await apply()).toEqual([]);
    await write('20260101000000_one.sql', 'create schema other;');
    await expect(apply()).rejects.toThrow('20260101000000_one.sql was changed after it was applied');
  });

  test('a file that comes before an applied one is refused', async () => {
    await write('20260102000000_two.sql', 'create schema t;');
    await apply();
    await write('20260101000000_one.sql', 'create table t.a ();');
    await expect(apply()).rejects.toThrow(/one\.sql comes before 20260102000000_two\.sql/);
  });

  test('versions that someone else applied are left alone, also where their statements were not kept', async () => {
    await db.exec(`create schema supabase_migrations;
      create table supabase_migrations.schema_migrations (version text not null primary key);
      insert into supabase_migrations.schema_migrations values ('20270101000000'), ('20260101000000')`);
    await write('20260101000000_one.sql', 'this would fail');
    await write('20260102000000_two.sql', 'create schema t;');
    expect(await apply()).toEqual(['two']);
  });
});
