import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { printError, printResults } from '../../../lib/cli/sql/print-results.ts';
import { pgliteSql, type RunSql } from '../../../lib/store/embedded/pglite-sql.ts';

let db: PGlite;
let sql: RunSql;
beforeAll(async () => {
  db = await PGlite.create();
  sql = pgliteSql(db);
  await db.exec('create table t (id int primary key, word text)');
});
afterAll(() => db.close());

const rows = async () => (await db.query('select id from t order by id')).rows;

describe('SQL on the embedded database', () => {
  it('returns the result of each statement, with values as Postgres prints them', async () => {
    const results = await sql(`insert into t values (1, 'a'), (2, null); select * from t order by id;
      select true as b, timestamptz '2026-03-01 12:00:00.123456+00' as at, '{"a": 1}'::jsonb as j, 12345678901234567890 as n`);
    expect(results).toMatchObject([
      { command: 'INSERT', rowCount: 2, columns: [], rows: [] },
      {
        command: 'SELECT',
        rowCount: 2,
        columns: ['id', 'word'],
        rows: [
          ['1', 'a'],
          ['2', null],
        ],
      },
      { rows: [['t', expect.stringMatching(/12:00:00\.123456\+00$/), '{"a": 1}', '12345678901234567890']] },
    ]);
  });

  it('applies all statements or none, and names the line and the reason of an error', async () => {
    const text = `insert into t values (3);\nselect 1 +\n  oops;`;
    const refused = await sql(text).catch((error) => error);
    expect(refused).toMatchObject({ name: 'SqlError', fields: { code: '42703' } });
    expect(printError(refused, text)).toBe('line 3: column "oops" does not exist (42703)');
    expect(await rows()).toEqual([{ id: 1 }, { id: 2 }]);
  });

  it('reports an error with Postgres’s detail and hint', async () => {
    const text = `do $$ begin raise exception 'no' using hint = 'Do that.', detail = 'This.'; end $$`;
    expect(printError(await sql(text).catch((error) => error), text)).toBe('no (P0001)\n  This.\n  Do that.');
  });

  it('keeps changes that the text commits, and rolls back a transaction that it leaves open', async () => {
    await sql('begin; insert into t values (4); commit');
    await expect(sql('begin; insert into t values (5)')).rejects.toThrow('left a transaction open');
    await expect(sql('begin; insert into t values (6); oops')).rejects.toThrow('syntax error');
    expect(await rows()).toEqual([{ id: 1 }, { id: 2 }, { id: 4 }]);
  });

  it('leaves no settings and no role for the next user of the connection', async () => {
    const state = async () =>
      (
        await db.query(
          `select current_user, current_setting('search_path') as path, current_setting('work_mem') as memory`,
        )
      ).rows;
    await sql('select 1');
    const before = await state();
    await sql(`create role somebody; set role somebody; set search_path = ''; set work_mem = '1MB'`);
    expect(await state()).toEqual(before);
  });
});

describe('SQL that takes longer than its limit', () => {
  it.each(['select pg_sleep(60)', 'do $$ begin loop end loop; end $$'])('is cancelled: %s', async (text) => {
    const own = await PGlite.create();
    const refused = await pgliteSql(own)(text, 300).catch((error) => error);
    expect(refused).toMatchObject({ name: 'SqlError', fields: { code: '57014' } });
    expect(refused.message).toBe('the SQL took longer than 0.3 s and was cancelled');
    // A database that was stopped in the middle of a statement accepts no more queries.
    await expect(own.query('select 1')).rejects.toThrow();
  });

  it('leaves no limit for the next user of the connection', async () => {
    await sql('select 1', 200);
    await db.query('select pg_sleep(0.4)');
  });
});

describe('npm run sql', () => {
  it('prints a table for each result, and the command for a result without columns', async () => {
    const results = await sql(
      `select id, word from t where id < 3 order by id; update t set word = 'x'; create table u (); select from t where false`,
    );
    expect(printResults(results)).toBe(
      'id | word\n---+-----\n1  | a\n2  |\n(2 rows)\nUPDATE 3\nCREATE\nSELECT 0\n',
    );
    expect(printResults([{ command: 'SELECT', rowCount: 1, columns: ['text'], rows: [['a\nb']] }])).toBe(
      'text\n----\na↵b\n(1 row)\n',
    );
  });
});
