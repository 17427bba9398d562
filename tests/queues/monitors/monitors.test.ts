import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET as tickMain } from '../../../app/api/cron/monitors/route.ts';
import { GET as tickSingapore } from '../../../app/api/cron/monitors/sin1/route.ts';
import { GET as GET_INCIDENTS } from '../../../app/api/incidents/route.ts';
import { GET as GET_MONITORING } from '../../../app/api/monitoring/route.ts';
import { DELETE, GET as GET_ONE, PATCH } from '../../../app/api/monitors/[id]/route.ts';
import { GET, POST } from '../../../app/api/monitors/route.ts';
import { DELETE as DELETE_REGION } from '../../../app/api/regions/[name]/route.ts';
import { GET as GET_REGIONS, POST as POST_REGION } from '../../../app/api/regions/route.ts';
import {
  API_KEY,
  answered,
  apiRequest,
  bearer,
  CRON_SECRET,
  openServedDatabase,
  stubSecrets,
} from '../../support/api-server.ts';
import type { TestDatabase } from '../../support/test-database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openServedDatabase({
    MONITOR_ALLOW_PRIVATE: '127.0.0.1:4321, 10.1.0.0/16',
    // No server listens here. A name that cannot be resolved is accepted, and is checked when the monitor runs.
    MONITOR_DNS_SERVERS: '127.0.0.1:9',
  });
});
afterAll(() => database.close());
beforeEach(() => stubSecrets());
/** Resets the database before each test. Tests of refusals store nothing and need no reset. */
const startEmpty = () => beforeEach(() => database.reset());
afterEach(() => {
  vi.unstubAllEnvs();
});

type Handler = (request: Request, context?: { params: Promise<never> }) => Promise<Response>;
function call(
  handler: unknown,
  { method = 'GET', query = '', body = undefined as unknown, params = {}, token = API_KEY },
) {
  const request = apiRequest(method, `/api/x${query}`, token ? bearer(token) : {}, JSON.stringify(body));
  return answered((handler as Handler)(request, { params: Promise.resolve(params as never) }));
}
const create = (body: unknown) => call(POST, { method: 'POST', body });
const list = (query: string) => call(GET, { query });
const read = (id: string) => call(GET_ONE, { params: { id } });
const edit = (id: string, body: unknown) => call(PATCH, { method: 'PATCH', params: { id }, body });
const remove = (id: string) => call(DELETE, { method: 'DELETE', params: { id } });
const regions = () => call(GET_REGIONS, {});
const saveRegion = (body: unknown) => call(POST_REGION, { method: 'POST', body });
const removeRegion = (name: string) => call(DELETE_REGION, { method: 'DELETE', params: { name } });

const site = { name: 'Shop', url: 'https://192.0.43.8/' };
async function add(changes: object = {}): Promise<string> {
  const { status, body } = await create({ ...site, ...changes });
  expect(body).toMatchObject({ rows: [{ created: true }] });
  expect(status).toBe(201);
  return body.rows[0].id;
}
const count = async () => (await database.sql('select count(*)::integer as n from punctual.monitors'))[0].n;

const full = {
  name: 'Shop',
  url: 'https://192.0.43.8/health?deep=1',
  method: 'POST',
  headers: { authorization: 'Bearer hush', 'X-Team': 'blue' },
  expected_status: '200-299, 301',
  keyword_present: 'ok',
  keyword_absent: 'error',
  timeout_ms: 5_000,
  max_redirects: 0,
  degraded_ms: 800,
  certificate_days: null,
  interval_seconds: 30,
  criticality: 'critical',
  is_active: true,
  preferred_region: 'fra1',
  only_regions: ['fra1', 'main'],
  confirm_failures: 1,
  confirm_checks: 1,
};

describe('POST /api/monitors', () => {
  startEmpty();
  it('creates one monitor, or many, and returns 200 if all existed already', async () => {
    const input = { ...full, idempotency_key: 'shop' };
    const { status, body } = await create([input, site]);
    expect(status).toBe(201);
    expect(body.rows).toMatchObject([
      { status: 'scheduled', created: true },
      { status: 'scheduled', created: true },
    ]);
    const [first, second] = body.rows;
    expect((await read(first.id)).body).toMatchObject({
      ...full,
      id: first.id,
      headers: { authorization: '***', 'X-Team': '***' },
      expected_status: '200-299,301',
      region: 'fra1',
      state: null,
      uptime: { day: null, week: null, month: null },
      checks: [],
      incidents: [],
    });
    expect((await read(second.id)).body).toMatchObject({
      method: 'GET',
      headers: {},
      certificate_days: 14,
      interval_seconds: 60,
      confirm_failures: 2,
      confirm_checks: 3,
    });
    expect(await create(input)).toMatchObject({
      status: 200,
      body: { rows: [{ id: first.id, created: false }] },
    });
    expect(await count()).toBe(2);
  });

  it.each([
    ['http://192.0.43.8'],
    ['https://[2606:4700::1111]:8443/a?b=c'],
    ['tcp://192.0.43.8:5432'],
    ['tls://192.0.43.8'],
    ['tls://[2606:4700::1111]:993/'],
    ['http://127.0.0.1:4321/'],
    ['tcp://10.1.2.3:22'],
    ['https://nobody-resolves-this.test/'],
  ])('accepts %s', async (url) => {
    expect((await create({ name: 'x', url })).status).toBe(201);
  });
});

describe('POST /api/monitors with two monitors', () => {
  beforeAll(() => database.reset());

  const tooMany = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`x-${n}`, '']));
  it.each<[name: string, changes: object, field: string, says?: RegExp]>([
    ['no name', { name: undefined }, 'name'],
    ['an empty name', { name: ' ' }, 'name'],
    ['a long name', { name: 'x'.repeat(201) }, 'name'],
    ['no url', { url: undefined }, 'url'],
    ['another scheme', { url: 'ftp://192.0.43.8/' }, 'url', /https:\/\/, http:\/\/, tcp:\/\/ or tls:\/\//],
    ['a scheme in capitals', { url: 'HTTPS://192.0.43.8/' }, 'url'],
    ['no address', { url: 'https://' }, 'url'],
    ['a space before', { url: ' https://192.0.43.8/' }, 'url'],
    ['a line break', { url: 'https://192.0.43.8/\n' }, 'url'],
    ['a backslash', { url: 'https:\\\\192.0.43.8/' }, 'url'],
    ['credentials', { url: 'https://user:hush@192.0.43.8/' }, 'url', /in a header/],
    ['a long url', { url: `https://192.0.43.8/${'x'.repeat(2_000)}` }, 'url'],
    ['the port 0', { url: 'tls://192.0.43.8:0' }, 'url'],
    ['tcp without a port', { url: 'tcp://192.0.43.8' }, 'url', /has no port/],
    ['tcp with a path', { url: 'tcp://192.0.43.8:80/x' }, 'url', /more than a host and a port/],
    ['tls without a host', { url: 'tls://' }, 'url'],
    ['tls with non-ASCII letters', { url: 'tls://münchen.test' }, 'url', /xn--/],
    ['this machine', { url: 'http://127.0.0.1:4322/' }, 'url', /cannot be checked/],
    ['this machine in decimal', { url: 'http://2130706433/' }, 'url'],
    ['this machine in octal, over tcp', { url: 'tcp://0177.1:80' }, 'url'],
    ['this machine by IPv6', { url: 'tls://[::1]' }, 'url'],
    ['a private network', { url: 'tcp://10.2.0.1:22' }, 'url'],
    ['the metadata service', { url: 'http://169.254.169.254/latest' }, 'url'],
    ['the metadata service, mapped', { url: 'http://[::ffff:169.254.169.254]/' }, 'url'],
    ['localhost', { url: 'http://localhost/' }, 'url'],
    ['an unknown method', { method: 'TRACE' }, 'method'],
    ['a header with a bad name', { headers: { 'a b': 'hush' } }, 'headers.a b'],
    ['a header of the connection', { headers: { Host: 'hush' } }, 'headers.Host', /set by the check/],
    ['a header for proxies', { headers: { 'Proxy-Foo': 'hush' } }, 'headers.Proxy-Foo'],
    ['a header of two lines', { headers: { a: 'hush\r\nb: c' } }, 'headers.a'],
    ['a header beyond Latin-1', { headers: { a: 'hush €' } }, 'headers.a'],
    ['a masked header', { headers: { a: '***' } }, 'headers.a', /send its true value/],
    ['a header that is not a string', { headers: { a: 1 } }, 'headers.a'],
    ['a header twice', { headers: { a: 'hush', A: 'hush' } }, 'headers'],
    ['too many headers', { headers: tooMany }, 'headers'],
    ['an invalid status', { expected_status: '600' }, 'expected_status'],
    ['a reversed range', { expected_status: '299-200' }, 'expected_status'],
    ['an empty status', { expected_status: '' }, 'expected_status'],
    ['an empty keyword', { keyword_present: '' }, 'keyword_present'],
    ['a long keyword', { keyword_absent: 'x'.repeat(501) }, 'keyword_absent'],
    ['a keyword with HEAD', { method: 'HEAD', keyword_present: 'x' }, 'keyword_present', /use GET/],
    ['a short timeout', { timeout_ms: 99 }, 'timeout_ms'],
    ['a timeout longer than the queue’s', { timeout_ms: 20_000 }, 'timeout_ms', /timeout_seconds/],
    ['too many redirects', { max_redirects: 11 }, 'max_redirects'],
    ['a degraded_ms that is never reached', { degraded_ms: 10_000 }, 'degraded_ms', /never reached/],
    ['a short interval', { interval_seconds: 9 }, 'interval_seconds'],
    ['an unknown criticality', { criticality: 'urgent' }, 'criticality'],
    ['more failures than checks', { confirm_failures: 4 }, 'confirm_failures', /must not be greater/],
    ['fewer checks than failures', { confirm_checks: 1 }, 'confirm_checks', /must not be greater/],
    ['an unknown region', { preferred_region: 'mars' }, 'preferred_region', /fra1/],
    ['one unknown region of two', { only_regions: ['main', 'mars'] }, 'only_regions'],
    ['no regions', { only_regions: [] }, 'only_regions'],
    [
      'a preferred region outside only_regions',
      { preferred_region: 'sin1', only_regions: ['main'] },
      'preferred_region',
    ],
    ['certificate days for http', { url: 'http://192.0.43.8/', certificate_days: 5 }, 'certificate_days'],
    ['certificate days for tcp', { url: 'tcp://192.0.43.8:80', certificate_days: 5 }, 'certificate_days'],
    ['a method for tcp', { url: 'tcp://192.0.43.8:80', method: 'GET' }, 'method', /tcp:\/\/ only connects/],
    ['a keyword for tls', { url: 'tls://192.0.43.8', keyword_absent: 'x' }, 'keyword_absent'],
    ['redirects for tls', { url: 'tls://192.0.43.8', max_redirects: 1 }, 'max_redirects'],
    ['an unknown field', { state: 'up' }, 'state'],
  ])('refuses %s, and creates neither', async (_name, changes, field, says = /\w/) => {
    const { status, body } = await create([site, { ...site, ...changes }]);
    expect({ status, kind: body.error?.kind }).toEqual({ status: 422, kind: 'invalid' });
    expect(body.error.errors).toMatchObject([{ index: 1, field, message: expect.stringMatching(says) }]);
    expect(JSON.stringify(body)).not.toContain('hush');
    expect(await count()).toBe(0);
  });
});

describe('GET /api/monitors', () => {
  startEmpty();
  it('pages through monitors, by state', async () => {
    const ids = [await add(), await add({ is_active: false }), await add({ name: 'Blog' })];
    const first = (await list('?limit=2')).body;
    expect(first.monitors.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2));
    expect(first.monitors[0]).toMatchObject({
      name: 'Shop',
      state: null,
      suspect: false,
      last: null,
      uptime: { day: null },
    });
    const second = (await list(`?limit=2&cursor=${first.next}`)).body;
    expect(second).toMatchObject({ monitors: [{ id: ids[2], name: 'Blog' }], next: null });
    expect((await list('?state=inactive')).body.monitors).toMatchObject([
      { id: ids[1], status: 'inactive', is_active: false },
    ]);
    expect((await list('?state=new')).body.monitors).toHaveLength(2);
    expect((await list('?state=down')).body).toEqual({ monitors: [], next: null });
  });

  it.each([
    ['?state=sad', 'state'],
    ['?cursor=x', 'cursor'],
    ['?cursor=WyJ4Il0', 'cursor'],
    ['?after=42', 'after'],
    ['?limit=201', 'limit'],
    ['?limit=0', 'limit'],
    ['?states=up', 'states'],
  ])('refuses %s', async (query, field) => {
    const { status, body } = await list(query);
    expect([status, body.error.errors[0].field]).toEqual([400, field]);
  });
});

describe('PATCH and DELETE /api/monitors/:id', () => {
  startEmpty();
  it('change the named fields, and delete the monitor', async () => {
    const id = await add({ headers: { a: 'hush' }, keyword_present: 'x' });
    const url = new URL('/other', site.url).href;
    const changes = { name: 'Renamed', url, keyword_present: null, degraded_ms: 500 };
    const { status, body } = await edit(id, changes);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id, ...changes, headers: { a: '***' } });
    expect((await read(id)).body).toEqual(body);
    expect((await database.sql('select headers from punctual.monitors'))[0].headers).toEqual({ a: 'hush' });
    expect((await edit(id, { is_active: false })).body).toMatchObject({
      status: 'inactive',
      is_active: false,
    });
    expect(await remove(id)).toEqual({ status: 200, body: { id } });
    expect((await read(id)).status).toBe(404);
  });

  it.each<[name: string, changes: unknown, field: string, says?: RegExp]>([
    ['an empty object', {}, '', /name at least one field to change: name, url/],
    ['an array', [1], ''],
    [
      'another origin for hidden headers',
      { url: 'http://192.0.43.9/' },
      'headers',
      /send url and headers together/,
    ],
    ['a private address', { url: 'https://192.168.0.1/', headers: {} }, 'url', /cannot be checked/],
    ['another scheme', { url: 'tcp://192.0.43.8:80' }, 'url', /create another monitor/],
    ['a masked header', { headers: { a: '***' } }, 'headers.a'],
    ['a method without a body', { method: 'HEAD' }, 'method', /use GET/],
    ['a timeout below degraded_ms', { timeout_ms: 500 }, 'timeout_ms', /never reached/],
    ['fewer checks than failures', { confirm_checks: 1 }, 'confirm_checks'],
    ['an unknown region', { preferred_region: 'mars' }, 'preferred_region'],
    ['an idempotency key', { idempotency_key: 'x' }, 'idempotency_key'],
  ])('refuse %s, and change nothing', async (_name, changes, field, says = /\w/) => {
    const id = await add({ keyword_present: 'x', degraded_ms: 500, headers: { a: 'hush' } });
    const before = (await read(id)).body;
    const { status, body } = await edit(id, changes);
    expect(status).toBe(422);
    expect(body.error.errors).toMatchObject([{ field, message: expect.stringMatching(says) }]);
    expect((await read(id)).body).toEqual(before);
  });

  it.each(['1', '9223372036854775808', 'x', '%00', '1e3'])(
    'return 404 for the unknown monitor %s, as does a read',
    async (id) => {
      for (const response of [await edit(id, { name: 'x' }), await remove(id), await read(id)]) {
        expect([response.status, response.body.error.kind]).toEqual([404, 'not_found']);
      }
    },
  );
});

describe('incidents', () => {
  startEmpty();
  const incidents = (query: string) => call(GET_INCIDENTS, { query });

  it('are listed, the newest first, and appear on the dashboard’s page', async () => {
    const id = await add();
    await database.sql(
      `insert into punctual.incidents (monitor_id, started_at, opened_at, ended_at, closed_at, cause, regions) values
         ($1, '2026-11-01T10:00:00Z', '2026-11-01T10:01:00Z', '2026-11-01T10:05:00Z', '2026-11-01T10:06:00Z', '500', '{main}'),
         ($1, '2026-11-02T10:00:00Z', '2026-11-02T10:01:00Z', null, null, 'timeout', '{main,fra1}')`,
      [id],
    );
    const { body } = await incidents('');
    expect(body).toMatchObject({
      incidents: [
        { monitor_id: id, monitor: 'Shop', url: site.url, closed_at: null, regions: ['main', 'fra1'] },
        { cause: '500', seconds: 300 },
      ],
      next: null,
    });
    const [open, closed] = body.incidents;
    expect((await incidents('?open=true')).body.incidents).toMatchObject([{ id: open.id }]);
    expect((await incidents(`?open=false&monitor=${id}`)).body.incidents).toMatchObject([{ id: closed.id }]);
    const { next } = (await incidents('?limit=1')).body;
    expect((await incidents(`?limit=1&cursor=${next}`)).body).toMatchObject({
      incidents: [{ id: closed.id }],
      next: null,
    });
    expect((await read(id)).body.incidents).toHaveLength(2);
    expect((await call(GET_MONITORING, {})).body).toMatchObject({
      counts: { new: 1, up: 0 },
      regions: [{ name: 'main' }, { name: 'fra1' }, { name: 'sin1' }],
      monitors: [{ id, last: null }],
      incidents: { open: [{ id: open.id, monitor: 'Shop' }], recent: [{ id: closed.id }] },
    });
  });

  it.each([['?open=yes'], ['?monitor=shop'], ['?before=1'], ['?cursor=-1']])('refuse %s', async (query) => {
    expect((await incidents(query)).status).toBe(400);
  });
});

describe('regions', () => {
  startEmpty();
  it('are created, changed and removed, and the monitors of a removed one move to another', async () => {
    expect((await regions()).body.regions).toMatchObject([
      { name: 'main', is_default: true, is_healthy: false, reason: expect.stringMatching(/no tick/) },
      { name: 'fra1', is_default: false },
      { name: 'sin1' },
    ]);
    const made = await saveRegion({ name: 'office', unseen_seconds: 60 });
    expect(made).toMatchObject({ status: 200, body: { region: { name: 'office', unseen_seconds: 60 } } });
    const id = await add({ preferred_region: 'office' });
    expect((await saveRegion({ name: 'office', unseen_seconds: 90 })).body.region).toMatchObject({
      unseen_seconds: 90,
      monitors: 1,
    });
    expect(await removeRegion('office')).toEqual({ status: 200, body: { name: 'office', moved: 1 } });
    expect((await read(id)).body).toMatchObject({ region: 'main', preferred_region: null });
    expect((await saveRegion({ name: 'fra1', is_default: true })).body.region.is_default).toBe(true);
    expect((await regions()).body.regions.filter((r: { is_default: boolean }) => r.is_default)).toHaveLength(
      1,
    );
  });

  it('refuse invalid fields, unknown names and the removal of the default region', async () => {
    for (const [body, field] of [
      [{ name: 'Main Office' }, 'name'],
      [{ name: 'x', unseen_seconds: 29 }, 'unseen_seconds'],
      [{ name: 'main', is_default: false }, 'is_default'],
      [{ name: 'x', weather: 1 }, 'weather'],
    ] as const) {
      const response = await saveRegion(body);
      expect([response.status, response.body.error.errors[0].field]).toEqual([422, field]);
    }
    expect((await removeRegion('main')).status).toBe(409);
    for (const name of ['mars', '%00', 'MAIN']) expect((await removeRegion(name)).status).toBe(404);
  });
});

describe('a region’s cron endpoint', () => {
  startEmpty();
  const tick = (handler: unknown) => call(handler, { token: CRON_SECRET });

  it('ticks its own partition, and makes its region healthy', async () => {
    expect(await tick(tickMain)).toMatchObject({
      status: 200,
      body: { queue: 'monitors', partition: 'main' },
    });
    expect((await tick(tickSingapore)).body).toMatchObject({ partition: 'sin1', outcome: 'idle' });
    const healthy = (await regions()).body.regions.filter((r: { is_healthy: boolean }) => r.is_healthy);
    expect(healthy.map((r: { name: string }) => r.name)).toEqual(['main', 'sin1']);
  });
});
