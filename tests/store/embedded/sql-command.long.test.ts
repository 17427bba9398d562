import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { endpoints as sqlApi } from '../../../lib/api/sql.ts';
import { provideServices, type Services } from '../../../lib/services/services.ts';
import { openEmbeddedDatabase } from '../../../lib/store/embedded/embedded-database.ts';
import type { RunSql } from '../../../lib/store/embedded/pglite-sql.ts';
import { CRON_SECRET, stubSecrets } from '../../support/api-server.ts';
import { buildWorker } from '../../support/build-worker.ts';
import { serveHandler } from '../../support/serve-handler.ts';

const { 'POST /sql': POST } = sqlApi;

const root = mkdtempSync(path.join(tmpdir(), 'punctual-sql-'));
const directory = path.join(root, 'db');
beforeAll(buildWorker);
afterAll(() => rmSync(root, { recursive: true }));

const unset = { SUPABASE_URL: '', SUPABASE_SECRET_KEY: '', STORE: '' };

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the program behind `npm run sql`. */
function run(
  args: string[],
  { stdin, env = {} }: { stdin?: string; env?: Record<string, string> } = {},
): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--enable-source-maps', 'dist/cli.js', 'sql', ...args],
      {
        env: { ...process.env, ...unset, PUNCTUAL_DATA: directory, ...env },
      },
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
    child.stdin?.end(stdin);
  });
}

describe('npm run sql', () => {
  it('opens and migrates the database if no process has it open', async () => {
    const { code, stdout } = await run(['select name from punctual.queues order by name limit 1']);
    expect([code, stdout]).toEqual([0, 'name\n--------\ndm_queue\n(1 row)\n']);
    const file = await run([], { stdin: 'create table t (a int);\ninsert into t values (1);\n' });
    expect([file.code, file.stdout]).toEqual([0, 'CREATE\nINSERT 1\n']);
    const refused = await run([], { stdin: 'insert into t values (2);\nselect * from nothing;\n' });
    expect(refused).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'line 2: relation "nothing" does not exist (42P01)\n',
    });
    // Each run opens the database, which takes seconds.
  }, 120_000);

  it('refuses a Supabase project', async () => {
    const env = { SUPABASE_URL: 'https://abc.supabase.co', SUPABASE_SECRET_KEY: 'sb_secret_1' };
    const { code, stderr } = await run(['select 1'], { env });
    expect([code, stderr]).toEqual([2, expect.stringContaining('https://abc.supabase.co: use psql')]);
  });

  describe('while an app has the database open', () => {
    let url: string;
    let sql: RunSql;
    beforeAll(async () => {
      const database = await openEmbeddedDatabase(directory);
      sql = database.sql;
      provideServices({ sql: database.sql } as Services);
      stubSecrets();
      vi.stubEnv('PUNCTUAL_DATA', directory);
      const app = await serveHandler(POST);
      url = app.url;
      return async () => {
        await app.close();
        provideServices(null);
        vi.unstubAllEnvs();
        await database.close();
      };
    });

    it('has the app run the SQL', async () => {
      const env = { CRON_SECRET };
      const { code, stdout, stderr } = await run(['--url', url, 'select a from t'], { env });
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'a\n-\n1\n(1 row)\n', stderr: '' });
      expect(await run(['--url', url, 'oops'], { env })).toMatchObject({
        code: 1,
        stderr: 'line 1: syntax error at or near "oops" (42601)\n',
      });
    });

    it('says how to reach an app that refuses or does not answer', async () => {
      expect(await run(['--url', url, 'select 1'], { env: { CRON_SECRET: 'another' } })).toMatchObject({
        code: 2,
        stderr: `${url} answered 401: set CRON_SECRET to the app's\n`,
      });
      expect(await run(['--url', 'http://127.0.0.1:1', 'select 1'], { env: { CRON_SECRET } })).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/is in use by process \d+.*give the app's address with --url/),
      });
    });

    it('applies nothing of SQL that took too long, and goes on afterwards', async () => {
      await expect(sql('insert into t values (3); select pg_sleep(60)', 500)).rejects.toThrow('cancelled');
      expect(await sql('select a from t')).toMatchObject([{ rows: [['1']] }]);
    });

    it('prints the app’s configuration error and nothing else', async () => {
      vi.stubEnv('UNIPILE_DSN', 'api1.unipile.test');
      const result = await run(['--url', url, 'select 1'], { env: { CRON_SECRET, UNIPILE_DSN: '' } });
      vi.stubEnv('UNIPILE_DSN', '');
      expect(result).toEqual({
        code: 2,
        stdout: '',
        stderr: `${url} answered 503: UNIPILE_DSN is set, but UNIPILE_API_KEY is not: set both or neither\n`,
      });
    });
  });
});
