import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { POST } from '../../app/api/sql/route.ts';
import type { Services } from '../../lib/services/services.ts';
import { type RunSql, SqlError } from '../../lib/store/pglite-sql.ts';
import {
  answered,
  apiRequest,
  bearer,
  CRON_SECRET,
  provideServices,
  stubSecrets,
  withKey,
} from '../support/api-server.ts';

const withSecret = bearer(CRON_SECRET);
let directory: string;
/** What was run. */
let ran: string[];
/** Within how many milliseconds. */
let limits: unknown[];

beforeEach(() => {
  directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'punctual-sql-')));
  ran = [];
  limits = [];
  stubSecrets();
  for (const name of ['SUPABASE_URL', 'SUPABASE_SECRET_KEY', 'SUPABASE_SERVICE_ROLE_KEY', 'STORE', 'VERCEL'])
    vi.stubEnv(name, '');
  vi.stubEnv('PUNCTUAL_DATA', directory);
  const sql: RunSql = async (text, limitMs) => {
    ran.push(text);
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

const ask = (body: object, headers = withSecret) =>
  answered(POST(apiRequest('POST', '/api/sql', headers, JSON.stringify(body))));

describe('POST /api/sql', () => {
  it('runs SQL on the database that this process has', async () => {
    expect(await ask({ sql: 'select 1 as a', directory })).toEqual({
      status: 200,
      body: { results: [{ command: 'SELECT', rowCount: 1, columns: ['a'], rows: [['1']] }] },
    });
  });

  it('gives the SQL 30 s, since the app answers nobody else meanwhile', async () => {
    await ask({ sql: 'select 1', directory });
    expect(limits).toEqual([30_000]);
  });

  it('says what Postgres said', async () => {
    expect(await ask({ sql: 'oops', directory })).toEqual({
      status: 422,
      body: {
        error: { kind: 'sql', message: 'syntax error', code: '42601', position: '1', hint: 'Mind it.' },
      },
    });
  });

  it.each<[what: string, variables: Record<string, string>]>([
    ['in a production build', { NODE_ENV: 'production', STORE: 'embedded' }],
    ['on Vercel', { VERCEL: '1' }],
    ['on Vercel, whatever else is said', { VERCEL: '1', PUNCTUAL_DEMO: '1', STORE: 'embedded' }],
    ['on a Supabase project', { SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SECRET_KEY: 'sb_secret_1' }],
  ])('is not there %s', async (_what, variables) => {
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    expect((await ask({ sql: 'select 1', directory })).status).toBe(404);
    expect(ran).toEqual([]);
  });

  it('takes CRON_SECRET and nothing else, and is closed where there is none', async () => {
    expect((await ask({ sql: 'select 1', directory }, {})).status).toBe(401);
    expect((await ask({ sql: 'select 1', directory }, withKey)).status).toBe(401);
    vi.stubEnv('CRON_SECRET', '');
    expect((await ask({ sql: 'select 1', directory }, bearer(''))).status).toBe(503);
    expect(ran).toEqual([]);
  });

  it('runs nothing that is meant for another database', async () => {
    const { status, body } = await ask({
      sql: 'drop schema punctual cascade',
      directory: `${directory}-other`,
    });
    expect([status, body.error.kind]).toEqual([409, 'other_database']);
    expect(body.error.message).toContain(directory);
    expect((await ask({ sql: 'select 1' })).status).toBe(422);
    expect(ran).toEqual([]);
  });
});
