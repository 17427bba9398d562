import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import {
  apiRequest,
  bearer,
  CRON_SECRET,
  cookie,
  type RequestHeaders,
  VIEWER_KEY,
  viewerCookie,
  withKey,
} from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

servedDatabase();

/** Routes with rules of their own: webhooks, the sign-in form, the health check and the catch-all. */
const exempt = /^(webhooks|session|health|\[\.\.\.path\])/;

const routes = readdirSync('app/api', { recursive: true, encoding: 'utf8' })
  .map((file) => file.split(path.sep).join('/'))
  .filter((file) => file.endsWith('/route.ts') && !exempt.test(file));

type Handler = (request: Request, context: object) => Promise<Response>;

/** Schedulers and `npm run sql` call these routes. */
const takesCronSecret = (file: string) => /^(cron|trigger|sql)\//.test(file);
const takesJson = (file: string) => !/^(cron|trigger|jobs\/run|queues\/\[queue\]\/run)\//.test(file);
const secretOf = (file: string): RequestHeaders => (takesCronSecret(file) ? bearer(CRON_SECRET) : withKey);

/** Calls each method of a route, by default with the secret that the route takes. */
async function callMethods(
  file: string,
  query = '',
  headers = secretOf(file),
  body = '{}',
): Promise<{ method: string; status: number; body: Body }[]> {
  const handlers: Record<string, Handler> = await import(path.resolve('app/api', file));
  const methods = ['GET', 'POST', 'PATCH', 'DELETE'].filter((method) => handlers[method]);
  expect(methods).not.toEqual([]);
  return Promise.all(
    methods.map(async (method) => {
      const sent = method === 'POST' || method === 'PATCH' ? body : undefined;
      const request = apiRequest(method, `/api/${path.dirname(file)}?${query}`, headers, sent);
      const params = Promise.resolve({ id: '1', queue: 'dm_queue', name: 'main', key: 'main' });
      const response = await handlers[method]?.(request, { params });
      return { method, status: response?.status ?? 0, body: await response?.json() };
    }),
  );
}

interface Body {
  error?: { kind: string; errors?: { field: string; message: string }[]; variables?: string[] };
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

  it.each(routes.filter(takesCronSecret))('of %s answers 503 while CRON_SECRET is not set', async (file) => {
    vi.stubEnv('CRON_SECRET', ' ');
    for (const headers of [bearer(CRON_SECRET), bearer(' ')])
      for (const { status, body } of await callMethods(file, '', headers)) {
        expect(status).toBe(503);
        expect(body.error).toMatchObject({ kind: 'not_configured', variables: ['CRON_SECRET'] });
      }
  });

  it.each(routes.filter((file) => !takesCronSecret(file)))(
    'of %s with the dashboard’s cookie may change data only from a page of the dashboard',
    async (file) => {
      const statuses = async (origin: string) =>
        (await callMethods(file, 'nonsense=1', { ...cookie(), origin })).map(({ method, status }) =>
          method === 'GET' ? null : status,
        );
      // 400: it was accepted, and then its query refused.
      for (const status of await statuses('http://app.test')) expect([null, 400]).toContain(status);
      for (const status of await statuses('http://evil.test')) expect([null, 403]).toContain(status);
    },
  );

  it.each(routes.filter((file) => !takesCronSecret(file)))(
    'of %s by a viewer may read, and is refused otherwise',
    async (file) => {
      for (const headers of [bearer(VIEWER_KEY), { ...viewerCookie(), origin: 'http://app.test' }])
        for (const { method, status, body } of await callMethods(file, 'nonsense=1', headers)) {
          // 400: it was accepted, and then its query refused.
          expect([method, status]).toEqual([method, method === 'GET' ? 400 : 403]);
          if (method !== 'GET') expect(body.error?.kind).toBe('viewer');
        }
    },
  );

  it('without a secret may only read what the dashboard shows, and only where it is open to everyone', async () => {
    vi.stubEnv('DASHBOARD_PASSWORD', '');
    vi.stubEnv('DASHBOARD_VIEWER_PASSWORD', '');
    const open = async () => {
      const accepted: string[] = [];
      for (const file of routes)
        for (const { method, status } of await callMethods(file, 'nonsense=1', {}))
          if (status === 400) accepted.push(`${method} ${path.dirname(file)}`);
      return accepted.sort();
    };
    expect(await open()).toEqual([
      'GET accounts',
      'GET accounts/[id]',
      'GET actions',
      'GET actions/[id]',
      'GET actions/[id]/proof',
      'GET analytics',
      'GET audit',
      'GET dms',
      'GET dms/[id]/why',
      'GET enrolments',
      'GET enrolments/[id]',
      'GET find',
      'GET forecast',
      'GET monitoring',
      'GET needs',
      'GET posts',
      'GET pulse',
      'GET queues',
      'GET queues/[queue]',
      'GET queues/[queue]/errors',
      'GET queues/[queue]/errors/[id]',
      'GET queues/[queue]/rows',
      'GET queues/[queue]/rows/[id]',
      'GET queues/[queue]/rows/[id]/why',
      'GET queues/[queue]/ticks',
      'GET schedulers',
      'GET sequences',
      'GET sequences/[id]',
      'GET stats',
      'GET ticks/[id]',
    ]);
    vi.stubEnv('NODE_ENV', 'production');
    expect(await open()).toEqual([]);
  });
});

it('a body that is not JSON, or above 32 MB, is refused by every route that takes one', async () => {
  let refused = 0;
  for (const file of routes.filter(takesJson)) {
    const announced = { ...secretOf(file), 'content-length': String(32 * 1024 * 1024 + 1) };
    for (const [headers, status, kind] of [
      [secretOf(file), 400, 'invalid_json'],
      [announced, 413, 'too_large'],
    ] as const)
      for (const response of await callMethods(file, '', headers, '{')) {
        if (response.method !== 'POST' && response.method !== 'PATCH') continue;
        expect(response, file).toMatchObject({ status, body: { error: { kind } } });
        refused++;
      }
  }
  expect(refused).toBeGreaterThan(30);
});

describe('a query parameter', () => {
  it.each(routes)('that %s does not take is refused by name', async (file) => {
    const message = expect.stringMatching(/^is not a parameter: this path takes /);
    for (const { status, body } of await callMethods(file, 'nonsense=1'))
      expect([status, body.error?.errors]).toEqual([400, [{ field: 'nonsense', message }]]);
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
});
