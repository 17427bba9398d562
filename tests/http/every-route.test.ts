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

/** Routes with rules of their own: webhooks, the sign-in form, the health check and the catch-all. */
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

/** Schedulers and `npm run sql` call these routes. */
const takesCronSecret = (file: string) => /^(cron|trigger|sql)/.test(file);

/** Calls each method of a route, by default with the secret that the route takes. */
async function callMethods(
  file: string,
  query: string,
  headers: RequestHeaders = takesCronSecret(file) ? bearer(CRON_SECRET) : withKey,
): Promise<{ method: string; status: number; body: Body }[]> {
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

interface Body {
  error?: { errors?: { field: string; message: string }[] };
}

describe('a call', () => {
  it.each(routes)('of %s is refused without the secret that the route takes', async (file) => {
    const other = takesCronSecret(file) ? withKey : bearer(CRON_SECRET);
    for (const headers of [{}, bearer('guess'), other]) {
      for (const { status } of await callMethods(file, '', headers)) {
        // Schedulers may run jobs too.
        expect(status).toBe(file === 'jobs/run/route.ts' && headers === other ? 200 : 401);
      }
    }
  });

  it.each(routes.filter((file) => !takesCronSecret(file)))(
    'of %s that changes data is refused if its cookie comes from another site',
    async (file) => {
      for (const { method, status } of await callMethods(file, '', {
        ...cookie(),
        origin: 'http://evil.test',
      }))
        if (method !== 'GET') expect(status).toBe(403);
    },
  );
});

describe('a query parameter', () => {
  it.each(routes)('that %s does not take is refused by name', async (file) => {
    const responses = await callMethods(file, 'nonsense=1');
    expect(responses).not.toEqual([]);
    for (const { method, status, body } of responses) {
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

  it('that is unknown is reported beside invalid ones, and the error lists the known ones', async () => {
    const [response] = await callMethods('enrolments/route.ts', 'limit=0&limt=5&phase=sad&phase=glad');
    expect(response?.body.error?.errors).toEqual([
      { field: 'limt', message: 'is not a parameter: this path takes sequence, phase, limit, cursor' },
      { field: 'phase', message: 'is given twice' },
      { field: 'phase', message: expect.any(String) },
      { field: 'limit', message: 'must be a whole number from 1 to 200' },
    ]);
  });

  it('that belongs to the platform is accepted', async () => {
    const [response] = await callMethods('accounts/route.ts', 'x-vercel-protection-bypass=secret&limit=1');
    expect(response?.status).toBe(200);
  });

  it.each(['x', 'bnVsbA', 'W10', 'WzEsMiwzLDQsNV0', 'WyJcdTAwMDAiLCJ4Il0'])(
    'that is the invalid cursor %s is refused',
    async (cursor) => {
      for (const file of ['accounts/route.ts', 'enrolments/route.ts']) {
        const [response] = await callMethods(file, `cursor=${cursor}`);
        expect([response?.status, response?.body.error?.errors?.[0]?.field]).toEqual([400, 'cursor']);
      }
      // ["x"], a cursor of another list.
      expect(await callMethods('enrolments/route.ts', 'cursor=WyJ4Il0')).toMatchObject([{ status: 400 }]);
    },
  );
});
