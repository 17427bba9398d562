import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { endpoints as sqlApi } from '../../lib/api/sql.ts';
import { provideServices, type Services } from '../../lib/services/services.ts';
import { type RunSql, SqlError } from '../../lib/store/embedded/pglite-sql.ts';
import { answered, apiRequest, bearer, CRON_SECRET, stubSecrets, withKey } from '../support/api-server.ts';

const { 'POST /sql': POST } = sqlApi;

const withSecret = bearer(CRON_SECRET);
let directory: string;
/** The SQL that ran. */
let statements: string[];
/** The time limits of the SQL, in milliseconds. */
let limits: unknown[];

beforeEach(() => {
  directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'punctual-sql-')));
  statements = [];
  limits = [];
  stubSecrets();
  for (const name of ['SUPABASE_URL', 'SUPABASE_SECRET_KEY', 'SUPABASE_SERVICE_ROLE_KEY', 'STORE', 'VERCEL'])
    vi.stubEnv(name, '');
  vi.stubEnv('PUNCTUAL_DATA', directory);
  const sql: RunSql = async (text, limitMs) => {
    statements.push(text);
    limits.push(limitMs);
    if (text === 'oops')
      throw new SqlError('syntax error', { code: '42601', position: '1', hint: 'Mind it.' });
    return [{ command: 'SELECT', rowCount: 1, columns: ['a'], rows: [['1']] }];
  };
  provideServices({ sql } as Services);
});
afterEach(() => {
  provideServices(null);
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

const post = (body: object, headers = withSecret) =>
  answered(POST(apiRequest('POST', '/api/sql', headers, JSON.stringify(body))));

describe('POST /api/sql', () => {
  it('runs SQL on the database of this process, for 30 s at most, because the app serves nobody else meanwhile', async () => {
    expect(await post({ sql: 'select 1 as a', directory })).toEqual({
      status: 200,
      body: { results: [{ command: 'SELECT', rowCount: 1, columns: ['a'], rows: [['1']] }] },
    });
    expect(limits).toEqual([30_000]);
  });

  it('returns the error of Postgres', async () => {
    const fields = { code: '42601', position: '1', hint: 'Mind it.' };
    const error = { kind: 'sql', message: 'syntax error', ...fields };
    expect(await post({ sql: 'oops', directory })).toEqual({ status: 422, body: { error } });
  });

  it.each<[label: string, variables: Record<string, string>]>([
    ['in a production build', { NODE_ENV: 'production', STORE: 'embedded' }],
    ['on Vercel', { VERCEL: '1' }],
    ['on Vercel, whatever else is set', { VERCEL: '1', PUNCTUAL_DEMO: '1', STORE: 'embedded' }],
    ['on a Supabase project', { SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SECRET_KEY: 'sb_secret_1' }],
  ])('answers 404 %s', async (_label, variables) => {
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    expect((await post({ sql: 'select 1', directory })).status).toBe(404);
    expect(statements).toEqual([]);
  });

  it('runs nothing without CRON_SECRET', async () => {
    expect((await post({ sql: 'select 1', directory }, withKey)).status).toBe(401);
    expect(statements).toEqual([]);
  });

  it('runs no SQL that is meant for another database', async () => {
    const sql = 'drop schema punctual cascade';
    const { status, body } = await post({ sql, directory: `${directory}-other` });
    expect([status, body.error.kind]).toEqual([409, 'other_database']);
    expect(body.error.message).toContain(directory);
    expect((await post({ sql: 'select 1' })).status).toBe(422);
    expect(statements).toEqual([]);
  });
});
