import { describe, expect, it, vi } from 'vitest';
import { allEndpoints } from '../../lib/api/all-endpoints.ts';
import { answerApi } from '../../lib/api/answer-api.ts';
import { pathName } from '../../lib/queues/find-queue.ts';
import { punctual } from '../../punctual.ts';
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

/** Paths with rules of their own: webhooks, the sign-in form, the health check and the API's document. */
const exempt = /^(webhooks|session|health|openapi.json)(\/|$)/;

const cronPaths = ['reconcile', 'analytics', 'prune', 'process-scheduled']
  .concat(punctual.queues.map(({ name }) => pathName(name)))
  .map((name) => `cron/${name}`);
const methodsOf = new Map<string, string[]>(cronPaths.map((path) => [path, ['GET', 'POST']]));
for (const name of Object.keys(await allEndpoints())) {
  const [method = '', path = ''] = name.split(' /');
  if (!exempt.test(path)) methodsOf.set(path, [...(methodsOf.get(path) ?? []), method]);
}
const paths = [...methodsOf.keys()];

/** Schedulers and `npm run sql` call these paths. */
const takesCronSecret = (path: string) => /^(cron|trigger|sql)(\/|$)/.test(path);
const takesJson = (path: string) => !/^(cron\/|trigger\/|jobs\/run$|queues\/:queue\/run$)/.test(path);
const secretOf = (path: string): RequestHeaders => (takesCronSecret(path) ? bearer(CRON_SECRET) : withKey);
const values: Record<string, string> = { ':id': '1', ':queue': 'dm_queue', ':name': 'main', ':key': 'main' };

/** Calls each method of a path, by default with the secret that the path takes. */
async function callMethods(
  path: string,
  query = '',
  headers = secretOf(path),
  body = '{}',
): Promise<{ method: string; status: number; body: Body }[]> {
  const parts = path.split('/').map((part) => values[part] ?? part);
  return Promise.all(
    (methodsOf.get(path) ?? []).map(async (method) => {
      const sent = method === 'POST' || method === 'PATCH' ? body : undefined;
      const request = apiRequest(method, `/api/${parts.join('/')}?${query}`, headers, sent);
      const response = await answerApi(request, parts, {});
      return { method, status: response.status, body: await response.json() };
    }),
  );
}

interface Body {
  error?: { kind: string; errors?: { field: string; message: string }[]; variables?: string[] };
}

describe('a call', () => {
  it.each(paths)('of %s is refused without the secret that the route takes', async (path) => {
    const other = takesCronSecret(path) ? withKey : bearer(CRON_SECRET);
    for (const headers of [{}, bearer('guess'), other]) {
      for (const { status } of await callMethods(path, '', headers)) {
        // Schedulers may run jobs too.
        expect(status).toBe(path === 'jobs/run' && headers === other ? 200 : 401);
      }
    }
  });

  it.each(paths.filter(takesCronSecret))('of %s answers 503 while CRON_SECRET is not set', async (path) => {
    vi.stubEnv('CRON_SECRET', ' ');
    for (const headers of [bearer(CRON_SECRET), bearer(' ')])
      for (const { status, body } of await callMethods(path, '', headers)) {
        expect(status).toBe(503);
        expect(body.error).toMatchObject({ kind: 'not_configured', variables: ['CRON_SECRET'] });
      }
  });

  it.each(paths.filter((path) => !takesCronSecret(path)))(
    'of %s with the dashboard’s cookie may change data only from a page of the dashboard',
    async (path) => {
      const statuses = async (origin: string) =>
        (await callMethods(path, 'nonsense=1', { ...cookie(), origin })).map(({ method, status }) =>
          method === 'GET' ? null : status,
        );
      // 400: it was accepted, and then its query refused.
      for (const status of await statuses('http://app.test')) expect([null, 400]).toContain(status);
      for (const status of await statuses('http://evil.test')) expect([null, 403]).toContain(status);
    },
  );

  it.each(paths.filter((path) => !takesCronSecret(path)))(
    'of %s by a viewer may read, and is refused otherwise',
    async (path) => {
      for (const headers of [bearer(VIEWER_KEY), { ...viewerCookie(), origin: 'http://app.test' }])
        for (const { method, status, body } of await callMethods(path, 'nonsense=1', headers)) {
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
      for (const path of paths)
        for (const { method, status } of await callMethods(path, 'nonsense=1', {}))
          if (status === 400) accepted.push(`${method} ${path}`);
      return accepted.sort();
    };
    expect(await open()).toEqual([
      'GET accounts',
      'GET accounts/:id',
      'GET actions',
      'GET actions/:id',
      'GET actions/:id/proof',
      'GET analytics',
      'GET audit',
      'GET dms',
      'GET dms/:id/why',
      'GET enrolments',
      'GET enrolments/:id',
      'GET find',
      'GET forecast',
      'GET monitoring',
      'GET needs',
      'GET posts',
      'GET pulse',
      'GET queues',
      'GET queues/:queue',
      'GET queues/:queue/errors',
      'GET queues/:queue/errors/:id',
      'GET queues/:queue/rows',
      'GET queues/:queue/rows/:id',
      'GET queues/:queue/rows/:id/why',
      'GET queues/:queue/ticks',
      'GET schedulers',
      'GET sequences',
      'GET sequences/:id',
      'GET stats',
      'GET ticks/:id',
    ]);
    vi.stubEnv('NODE_ENV', 'production');
    expect(await open()).toEqual([]);
  });
});

it('a body that is not JSON, or above 32 MB, is refused by every route that takes one', async () => {
  let refused = 0;
  for (const path of paths.filter(takesJson)) {
    const announced = { ...secretOf(path), 'content-length': String(32 * 1024 * 1024 + 1) };
    for (const [headers, status, kind] of [
      [secretOf(path), 400, 'invalid_json'],
      [announced, 413, 'too_large'],
    ] as const)
      for (const response of await callMethods(path, '', headers, '{')) {
        if (response.method !== 'POST' && response.method !== 'PATCH') continue;
        expect(response, path).toMatchObject({ status, body: { error: { kind } } });
        refused++;
      }
  }
  expect(refused).toBeGreaterThan(30);
});

describe('a query parameter', () => {
  it.each(paths)('that %s does not take is refused by name', async (path) => {
    const message = expect.stringMatching(/^is not a parameter: this path takes /);
    for (const { status, body } of await callMethods(path, 'nonsense=1'))
      expect([status, body.error?.errors]).toEqual([400, [{ field: 'nonsense', message }]]);
  });

  it('that is unknown is reported beside invalid ones, and the error lists the known ones', async () => {
    const [response] = await callMethods('enrolments', 'limit=0&limt=5&phase=sad&phase=glad');
    expect(response?.body.error?.errors).toEqual([
      { field: 'limt', message: 'is not a parameter: this path takes sequence, phase, limit, cursor' },
      { field: 'phase', message: 'is given twice' },
      { field: 'phase', message: expect.any(String) },
      { field: 'limit', message: 'must be a whole number from 1 to 200' },
    ]);
  });

  it('that belongs to the platform is accepted', async () => {
    const [response] = await callMethods('accounts', 'x-vercel-protection-bypass=secret&limit=1');
    expect(response?.status).toBe(200);
  });
});
