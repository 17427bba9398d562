import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  apiRequest,
  bearer,
  CRON_SECRET,
  cookie,
  openServedDatabase,
  type RequestHeaders,
  stubSecrets,
  withKey,
} from '../support/api-server.ts';
import type { TestDatabase } from '../support/test-database.ts';

/** What others call in their own way: providers, browsers with a form, and whatever watches whether we are there. */
const exempt = /^(webhooks|session|health|\[\.\.\.path\])/;

const routes = readdirSync('app/api', { recursive: true, encoding: 'utf8' })
  .map((file) => file.split(path.sep).join('/'))
  .filter((file) => file.endsWith('/route.ts') && !exempt.test(file));

let database: TestDatabase;
beforeAll(async () => {
  database = await openServedDatabase();
});
afterAll(() => database.close());
beforeEach(() => stubSecrets());
afterEach(() => {
  vi.unstubAllEnvs();
});

type Handler = (request: Request, context: object) => Promise<Response>;

/** What a scheduler calls, and `npm run sql`. */
const takesCronSecret = (file: string) => /^(cron|trigger|sql)/.test(file);

/** The answers of each of a route's methods, asked with the secret that it takes. */
async function ask(
  file: string,
  query: string,
  headers: RequestHeaders = takesCronSecret(file) ? bearer(CRON_SECRET) : withKey,
): Promise<{ method: string; status: number; body: Answer }[]> {
  const handlers: Record<string, Handler> = await import(path.resolve('app/api', file));
  const methods = ['GET', 'POST', 'PATCH', 'DELETE'].filter((method) => handlers[method]);
  return Promise.all(
    methods.map(async (method) => {
      const request = apiRequest(
        method,
        `/api/${path.dirname(file)}?${query}`,
        headers,
        method === 'POST' || method === 'PATCH' ? '{}' : undefined,
      );
      const response = await handlers[method]?.(request, {
        params: Promise.resolve({ id: '1', queue: 'dm_queue', name: 'main' }),
      });
      return { method, status: response?.status ?? 0, body: await response?.json() };
    }),
  );
}

interface Answer {
  error?: { errors?: { field: string; message: string }[] };
}

describe('a call', () => {
  it.each(routes)('is refused without the secret that the path takes: %s', async (file) => {
    const other = takesCronSecret(file) ? withKey : bearer(CRON_SECRET);
    for (const headers of [{}, bearer('guess'), other]) {
      for (const { status } of await ask(file, '', headers)) {
        // A scheduler may run jobs, too.
        expect(status).toBe(file === 'jobs/run/route.ts' && headers === other ? 200 : 401);
      }
    }
  });

  it.each(routes.filter((file) => !takesCronSecret(file)))(
    'that changes something is refused with the cookie from another site: %s',
    async (file) => {
      for (const { method, status } of await ask(file, '', { ...cookie(), origin: 'http://evil.test' }))
        if (method !== 'GET') expect(status).toBe(403);
    },
  );
});

describe('a parameter that a path does not take', () => {
  it.each(routes)('is refused by name: %s', async (file) => {
    const answers = await ask(file, 'nonsense=1');
    expect(answers).not.toEqual([]);
    for (const { method, status, body } of answers) {
      expect([method, status, body.error?.errors]).toEqual([
        method,
        400,
        [
          {
            field: 'nonsense',
            message: expect.stringMatching(/^is not a parameter: this path takes /),
          },
        ],
      ]);
    }
  });

  it('is told beside what is wrong with those that there are, and which these are', async () => {
    const [told] = await ask('enrolments/route.ts', 'limit=0&limt=5&phase=sad&phase=glad');
    expect(told?.body.error?.errors).toEqual([
      { field: 'limt', message: 'is not a parameter: this path takes sequence, phase, limit, cursor' },
      { field: 'phase', message: 'is given twice' },
      { field: 'phase', message: expect.any(String) },
      { field: 'limit', message: 'must be a whole number from 1 to 200' },
    ]);
  });

  it('is let through where it is the platform’s', async () => {
    const [told] = await ask('accounts/route.ts', 'x-vercel-protection-bypass=secret&limit=1');
    expect(told?.status).toBe(200);
  });

  it.each(['x', 'bnVsbA', 'W10', 'WzEsMiwzLDQsNV0', 'WyJcdTAwMDAiLCJ4Il0'])(
    'that is no cursor (%s) is refused',
    async (cursor) => {
      for (const file of ['accounts/route.ts', 'enrolments/route.ts']) {
        const [told] = await ask(file, `cursor=${cursor}`);
        expect([told?.status, told?.body.error?.errors?.[0]?.field]).toEqual([400, 'cursor']);
      }
      // Of another list: ["x"].
      expect(await ask('enrolments/route.ts', 'cursor=WyJ4Il0')).toMatchObject([{ status: 400 }]);
    },
  );
});
