import { describe, expect, it } from 'vitest';
import { GET as tickMain } from '../../../app/api/cron/monitors/route.ts';
import { GET as tickSingapore } from '../../../app/api/cron/monitors/sin1/route.ts';
import { endpoints as monitorsApi } from '../../../lib/api/monitors.ts';
import { answered, apiRequest, bearer, CRON_SECRET, withKey } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';

const {
  'GET /incidents': GET_INCIDENTS,
  'GET /monitoring': GET_MONITORING,
  'DELETE /monitors/:id': DELETE,
  'GET /monitors/:id': GET_ONE,
  'PATCH /monitors/:id': PATCH,
  'GET /monitors': GET,
  'POST /monitors': POST,
  'DELETE /regions/:name': DELETE_REGION,
  'GET /regions': GET_REGIONS,
  'POST /regions': POST_REGION,
} = monitorsApi;

const database = servedDatabase({
  MONITOR_ALLOW_PRIVATE: '127.0.0.1:4321, 10.1.0.0/16',
  // No server listens here. A name that cannot be resolved is accepted, and is checked when the monitor runs.
  MONITOR_DNS_SERVERS: '127.0.0.1:9',
});

type Handler = (request: Request, context?: object) => Promise<Response>;
const call = (
  handler: unknown,
  { method = 'GET', query = '', body = undefined as unknown, params = {}, headers = withKey } = {},
) => {
  const request = apiRequest(method, `/api/x${query}`, headers, JSON.stringify(body));
  return answered((handler as Handler)(request, { params: Promise.resolve(params) }));
};
const create = (body: unknown) => call(POST, { method: 'POST', body });
const list = (query: string) => call(GET, { query });
const read = (id: string) => call(GET_ONE, { params: { id } });
const edit = (id: string, body: unknown) => call(PATCH, { method: 'PATCH', params: { id }, body });
const remove = (id: string) => call(DELETE, { method: 'DELETE', params: { id } });
const regions = async () => (await call(GET_REGIONS)).body.regions;
const saveRegion = (body: unknown) => call(POST_REGION, { method: 'POST', body });
const removeRegion = (name: string) => call(DELETE_REGION, { method: 'DELETE', params: { name } });

const site = { name: 'Shop', url: 'https://192.0.43.8/' };
async function add(changes: object = {}): Promise<string> {
  const { status, body } = await create({ ...site, ...changes });
  expect([status, body]).toMatchObject([201, { rows: [{ created: true }] }]);
  return body.rows[0].id;
}

it('POST /api/monitors creates monitors with all their settings or the defaults, and never shows their headers', async () => {
  const full = {
    name: 'Shop',
    url: 'https://192.0.43.8/health?deep=1',
    method: 'POST',
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
  const headers = { authorization: 'Bearer hush', 'X-Team': 'blue' };
  const input = { ...full, headers, expected_status: '200-299, 301' };
  const { status, body } = await create([input, site]);
  const scheduled = { status: 'scheduled', created: true };
  expect([status, body.rows]).toMatchObject([201, [scheduled, scheduled]]);
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
});

it('POST /api/monitors accepts public addresses, allowed private ones, and names that do not resolve yet', async () => {
  for (const url of [
    'http://192.0.43.8',
    'https://[2606:4700::1111]:8443/a?b=c',
    'tcp://192.0.43.8:5432',
    'tls://192.0.43.8',
    'tls://[2606:4700::1111]:993/',
    'http://127.0.0.1:4321/',
    'tcp://10.1.2.3:22',
    'https://nobody-resolves-this.test/',
  ])
    await add({ url });
});

const http = 'http://192.0.43.8/';
const tcp = 'tcp://192.0.43.8:80';
const tls = 'tls://192.0.43.8';
const tooMany = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`x-${n}`, '']));
it.each<[name: string, changes: object, field: string, says?: RegExp]>([
  ['an empty name', { name: ' ' }, 'name', /^is empty$/],
  ['another scheme', { url: 'ftp://192.0.43.8/' }, 'url', /https:\/\/, http:\/\/, tcp:\/\/ or tls:\/\//],
  ['a scheme in capitals', { url: 'HTTPS://192.0.43.8/' }, 'url', /must begin with/],
  ['no address', { url: 'https://' }, 'url', /not a valid URL/],
  ['a space before', { url: ' https://192.0.43.8/' }, 'url', /must begin with/],
  ['a line break', { url: 'https://192.0.43.8/\n' }, 'url', /white space/],
  ['a backslash', { url: 'https://192.0.43.8/\\a' }, 'url', /backslash/],
  ['credentials', { url: 'https://user:hush@192.0.43.8/' }, 'url', /in a header/],
  ['the port 0', { url: `${tls}:0` }, 'url', /port 0/],
  ['tcp without a port', { url: 'tcp://192.0.43.8' }, 'url', /has no port/],
  ['tcp with a path', { url: `${tcp}/x` }, 'url', /more than a host and a port/],
  ['tls without a host', { url: 'tls://' }, 'url', /has no host/],
  ['tls with non-ASCII letters', { url: 'tls://münchen.test' }, 'url', /xn--/],
  ['this machine', { url: 'http://127.0.0.1:4322/' }, 'url', /cannot be checked/],
  ['this machine in octal, over tcp', { url: 'tcp://0177.1:80' }, 'url', /cannot be checked/],
  ['this machine by IPv6, over tls', { url: 'tls://[::1]' }, 'url', /cannot be checked/],
  ['a private network', { url: 'tcp://10.2.0.1:22' }, 'url', /cannot be checked/],
  ['an unknown method', { method: 'TRACE' }, 'method'],
  ['a header with a bad name', { headers: { 'a b': 'hush' } }, 'headers.a b', /not a valid header name/],
  ['a header of the connection', { headers: { Host: 'hush' } }, 'headers.Host', /set by the check/],
  ['a header for proxies', { headers: { 'Proxy-Foo': 'hush' } }, 'headers.Proxy-Foo', /set by the check/],
  ['a header of two lines', { headers: { a: 'hush\r\nb: c' } }, 'headers.a', /cannot contain/],
  ['a header beyond Latin-1', { headers: { a: 'hush €' } }, 'headers.a', /cannot contain/],
  ['a masked header', { headers: { a: '***' } }, 'headers.a', /send its true value/],
  ['a header that is not a string', { headers: { a: 1 } }, 'headers.a', /not a text/],
  ['a header twice', { headers: { a: 'hush', A: 'hush' } }, 'headers', /one header twice/],
  ['too many headers', { headers: tooMany }, 'headers', /at most 50/],
  ['an invalid status', { expected_status: '600' }, 'expected_status', /100 to 599/],
  ['a reversed range', { expected_status: '299-200' }, 'expected_status', /100 to 599/],
  ['an empty status', { expected_status: '' }, 'expected_status', /100 to 599/],
  ['an empty keyword', { keyword_present: '' }, 'keyword_present', /^is empty$/],
  ['a keyword with HEAD', { method: 'HEAD', keyword_present: 'x' }, 'keyword_present', /use GET/],
  ['a timeout longer than the queue’s', { timeout_ms: 20_000 }, 'timeout_ms', /timeout_seconds/],
  ['a degraded_ms that is never reached', { degraded_ms: 10_000 }, 'degraded_ms', /never reached/],
  ['a short interval', { interval_seconds: 9 }, 'interval_seconds'],
  ['more failures than checks', { confirm_failures: 4 }, 'confirm_failures', /must not be greater/],
  ['fewer checks than failures', { confirm_checks: 1 }, 'confirm_checks', /must not be greater/],
  ['an unknown region', { preferred_region: 'mars' }, 'preferred_region', /fra1/],
  ['one unknown region of two', { only_regions: ['main', 'mars'] }, 'only_regions'],
  ['no regions', { only_regions: [] }, 'only_regions', /send null for all/],
  ['one region twice', { only_regions: ['main', 'main'] }, 'only_regions', /twice/],
  [
    'a preferred region outside only_regions',
    { preferred_region: 'sin1', only_regions: ['main'] },
    'preferred_region',
    /not in only_regions/,
  ],
  ['certificate days for http', { url: http, certificate_days: 5 }, 'certificate_days', /no certificate/],
  ['certificate days for tcp', { url: tcp, certificate_days: 5 }, 'certificate_days', /only connects/],
  ['a method for tcp', { url: tcp, method: 'GET' }, 'method', /tcp:\/\/ only connects/],
  ['a keyword for tls', { url: tls, keyword_absent: 'x' }, 'keyword_absent', /only the certificate/],
  ['an unknown field', { state: 'up' }, 'state'],
])(
  'POST /api/monitors refuses a monitor with %s, and creates neither of two',
  async (_name, changes, field, says = /\w/) => {
    const { status, body } = await create([site, { ...site, ...changes }]);
    expect({ status, kind: body.error?.kind }).toEqual({ status: 422, kind: 'invalid' });
    expect(body.error.errors).toMatchObject([{ index: 1, field, message: expect.stringMatching(says) }]);
    expect(JSON.stringify(body)).not.toContain('hush');
    expect(await database.sql('select id from punctual.monitors')).toEqual([]);
  },
);

it('GET /api/monitors lists monitors by state', async () => {
  const ids = [await add(), await add({ is_active: false }), await add({ name: 'Blog' })];
  const shop = { id: ids[0], name: 'Shop', state: null, suspect: false, last: null, uptime: { day: null } };
  expect((await list('')).body.monitors).toMatchObject([shop, { id: ids[1] }, { name: 'Blog' }]);
  const inactive = { id: ids[1], status: 'inactive', is_active: false };
  expect((await list('?state=inactive')).body.monitors).toMatchObject([inactive]);
  expect((await list('?state=new')).body.monitors).toHaveLength(2);
  expect((await list('?state=down')).body).toEqual({ monitors: [], next: null });
  const errors = [{ field: 'state' }];
  expect(await list('?state=sad')).toMatchObject({ status: 400, body: { error: { errors } } });
});

describe('PATCH and DELETE /api/monitors/:id', () => {
  it('change the named fields, and delete the monitor', async () => {
    const id = await add({ headers: { a: 'hush' }, keyword_present: 'x' });
    const url = new URL('/other', site.url).href;
    const changes = { name: 'Renamed', url, keyword_present: null, degraded_ms: 500 };
    const { status, body } = await edit(id, changes);
    expect([status, body]).toMatchObject([200, { id, ...changes, headers: { a: '***' } }]);
    expect((await read(id)).body).toEqual(body);
    expect(await database.sql('select headers from punctual.monitors')).toEqual([{ headers: { a: 'hush' } }]);
    const inactive = { status: 'inactive', is_active: false };
    expect((await edit(id, { is_active: false })).body).toMatchObject(inactive);
    expect(await remove(id)).toEqual({ status: 200, body: { id } });
    expect((await read(id)).status).toBe(404);
  });

  it.each<[name: string, changes: unknown, field: string, says: RegExp]>([
    ['an empty object', {}, '', /name at least one field to change: name, url/],
    [
      'another origin for hidden headers',
      { url: 'http://192.0.43.9/' },
      'headers',
      /url and headers together/,
    ],
    ['a private address', { url: 'https://192.168.0.1/', headers: {} }, 'url', /cannot be checked/],
    ['another scheme', { url: tcp }, 'url', /create another monitor/],
    ['a masked header', { headers: { a: '***' } }, 'headers.a', /masked/],
    ['a method without a body', { method: 'HEAD' }, 'method', /use GET/],
    ['a timeout below degraded_ms', { timeout_ms: 500 }, 'timeout_ms', /never reached/],
    ['fewer checks than failures', { confirm_checks: 1 }, 'confirm_checks', /must not be greater/],
    ['an unknown region', { preferred_region: 'mars' }, 'preferred_region', /fra1/],
    ['an idempotency key', { idempotency_key: 'x' }, 'idempotency_key', /\w/],
  ])('refuse %s, and change nothing', async (_name, changes, field, says) => {
    const id = await add({ keyword_present: 'x', degraded_ms: 500, headers: { a: 'hush' } });
    const before = await read(id);
    const errors = [{ field, message: expect.stringMatching(says) }];
    expect(await edit(id, changes)).toMatchObject({ status: 422, body: { error: { errors } } });
    expect(await read(id)).toEqual(before);
  });

  it('return 404 for an unknown monitor, as does a read', async () => {
    for (const id of ['1', '9223372036854775808', 'x', '%00', '1e3'])
      for (const { status, body } of [await edit(id, { name: 'x' }), await remove(id), await read(id)])
        expect([id, status, body.error.kind]).toEqual([id, 404, 'not_found']);
  });
});

it('incidents are listed, the newest first, and appear on the dashboard’s page', async () => {
  const id = await add();
  await database.sql(
    `insert into punctual.incidents (monitor_id, started_at, opened_at, ended_at, closed_at, cause, regions) values
       ($1, '2026-11-01T10:00:00Z', '2026-11-01T10:01:00Z', '2026-11-01T10:05:00Z', '2026-11-01T10:06:00Z', '500', '{main}'),
       ($1, '2026-11-02T10:00:00Z', '2026-11-02T10:01:00Z', null, null, 'timeout', '{main,fra1}')`,
    [id],
  );
  const incidents = async (query: string) => (await call(GET_INCIDENTS, { query })).body.incidents;
  const [open, closed] = await incidents('');
  expect([open, closed]).toMatchObject([
    { monitor_id: id, monitor: 'Shop', url: site.url, closed_at: null, regions: ['main', 'fra1'] },
    { cause: '500', seconds: 300 },
  ]);
  expect(await incidents('?open=true')).toEqual([open]);
  expect(await incidents(`?open=false&monitor=${id}`)).toEqual([closed]);
  for (const query of ['?open=yes', '?monitor=shop'])
    expect((await call(GET_INCIDENTS, { query })).status).toBe(400);
  expect((await read(id)).body.incidents).toHaveLength(2);
  expect((await call(GET_MONITORING)).body).toMatchObject({
    counts: { new: 1, up: 0 },
    regions: [{ name: 'main' }, { name: 'fra1' }, { name: 'sin1' }],
    monitors: [{ id, last: null }],
    incidents: { open: [{ id: open.id, monitor: 'Shop' }], recent: [{ id: closed.id }] },
  });
});

describe('regions', () => {
  it('are created, changed and removed, and the monitors of a removed one move to another', async () => {
    expect(await regions()).toMatchObject([
      { name: 'main', is_default: true, is_healthy: false, reason: expect.stringMatching(/no tick/) },
      { name: 'fra1', is_default: false },
      { name: 'sin1' },
    ]);
    const office = { name: 'office', unseen_seconds: 60 };
    expect(await saveRegion(office)).toMatchObject({ status: 200, body: { region: office } });
    const id = await add({ preferred_region: 'office' });
    const changed = { ...office, unseen_seconds: 90 };
    expect((await saveRegion(changed)).body.region).toMatchObject({ ...changed, monitors: 1 });
    expect(await removeRegion('office')).toEqual({ status: 200, body: { name: 'office', moved: 1 } });
    expect((await read(id)).body).toMatchObject({ region: 'main', preferred_region: null });
    expect((await saveRegion({ name: 'fra1', is_default: true })).body.region.is_default).toBe(true);
    expect(await regions()).toMatchObject([
      { name: 'fra1', is_default: true },
      { is_default: false },
      { is_default: false },
    ]);
  });

  it('refuse invalid fields, unknown names and the removal of the default region', async () => {
    for (const [body, field] of [
      [{ name: 'Main Office' }, 'name'],
      [{ name: 'x', unseen_seconds: 29 }, 'unseen_seconds'],
      [{ name: 'main', is_default: false }, 'is_default'],
      [{ name: 'x', weather: 1 }, 'weather'],
    ] as const)
      expect(await saveRegion(body)).toMatchObject({ status: 422, body: { error: { errors: [{ field }] } } });
    expect((await removeRegion('main')).status).toBe(409);
    for (const name of ['mars', '%00', 'MAIN']) expect((await removeRegion(name)).status).toBe(404);
  });

  it('have a cron endpoint each, which ticks their partition and makes them healthy', async () => {
    const tick = (handler: unknown) => call(handler, { headers: bearer(CRON_SECRET) });
    const body = { queue: 'monitors', partition: 'main' };
    expect(await tick(tickMain)).toMatchObject({ status: 200, body });
    expect((await tick(tickSingapore)).body).toMatchObject({ partition: 'sin1', outcome: 'idle' });
    expect(await regions()).toMatchObject([
      { name: 'main', is_healthy: true },
      { name: 'fra1', is_healthy: false },
      { name: 'sin1', is_healthy: true },
    ]);
  });
});
