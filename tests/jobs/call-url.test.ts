import { createHmac } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { callUrl } from '../../lib/jobs/call-url.ts';
import { verifySignature } from '../../lib/jobs/signature.ts';
import { dnsResolver } from '../../lib/net/dns-resolver.ts';
import { addressGuard } from '../../lib/net/public-address.ts';
import type { JobEnv } from '../../lib/queues/jobs/queue.ts';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { testDatabase } from '../support/fixtures.ts';
import { hostileUrls, hostileZone } from '../support/hostile-urls.ts';
import { jobBench } from '../support/job-bench.ts';
import { sites } from '../support/sites.ts';

const database = testDatabase();
const { serve, closeAll } = sites();
afterEach(closeAll);

let dns: DnsServer;
beforeAll(async () => {
  dns = await startDnsServer({ ...hostileZone, 'moved.test': { inTurn: [['127.0.0.1'], ['10.1.2.3']] } });
});
afterAll(() => dns.close());

const secret = 'the secret of this app';
const payload = { orderId: '42 ü' };
let bench: ReturnType<typeof jobBench>;

/** Opens a bench on which jobs may call this machine by its address, and creates a job that calls `url`. */
async function create(url: string, job: object = {}, env: JobEnv = {}): Promise<string> {
  bench = jobBench(database, {}, { jobSigningSecrets: [secret], monitorAllowPrivate: ['127.0.0.1'], ...env });
  const [id = ''] = await bench.create({ url, payload, ...job });
  return id;
}

interface Call {
  method?: string;
  url?: string;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

/** Serves a receiver, and keeps the calls that it gets. */
async function receive(respond: RequestListener): Promise<{ url: string; calls: Call[] }> {
  const calls: Call[] = [];
  const { host } = await serve(async (request, response) => {
    const { method, url, headers } = request;
    calls.push({ method, url, headers, body: await readText(request) });
    respond(request, response);
  });
  return { url: `http://${host}/hook`, calls };
}

const answering =
  (status: number, headers: Record<string, string> = {}, body = ''): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);

/** Runs one attempt of a job that calls a receiver, and returns its row. */
async function callOnce(respond: RequestListener, job: object = {}) {
  const { url } = await receive(respond);
  const id = await create(url, job);
  await bench.tick();
  return bench.job(id);
}

/** Returns in how many seconds the row is tried again. */
const waitOf = (row: { next_attempt_at: string }) =>
  Math.round((Date.parse(row.next_attempt_at) - bench.clock.now()) / 1_000);

const verify = ({ headers, body }: Call, secrets: string | string[], now = () => bench.clock.now()) =>
  verifySignature({ header: headers['punctual-signature'], body }, secrets, { now });

describe('a job with a URL', () => {
  it('posts its payload, signed, and keeps the answer as its result', async () => {
    const { url, calls } = await receive(answering(200, {}, '{"mailed":true}'));
    const id = await create(`${url}?shop=1#part`);
    await bench.tick();
    const row = await bench.job(id);
    expect(row).toMatchObject({ status: 'done', attempts: 1, result: { mailed: true }, last_error: null });
    const [call] = calls as [Call];
    expect(call).toMatchObject({ method: 'POST', url: '/hook?shop=1', body: JSON.stringify(payload) });
    expect(call.headers).toMatchObject({
      host: new URL(url).host,
      'content-type': 'application/json',
      'user-agent': 'Punctual',
      'punctual-job-id': id,
      'punctual-attempt': '1',
      'idempotency-key': `job-${id}-${Date.parse(row.created_at)}`,
    });
    const at = Math.floor(bench.clock.now() / 1_000);
    const mac = createHmac('sha256', secret).update(`${at}.${call.body}`).digest('hex');
    expect(call.headers['punctual-signature']).toBe(`t=${at},v1=${mac}`);
  });

  it.each(['PUT', 'PATCH', 'DELETE'])('calls it by %s', async (method) => {
    const { url, calls } = await receive(answering(204));
    const id = await create(url, { method });
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({ status: 'done', result: null });
    expect(calls).toMatchObject([{ method, body: JSON.stringify(payload) }]);
  });

  it('calls it by GET without a body, and signs the empty one', async () => {
    const { url, calls } = await receive(answering(200, {}, 'fine'));
    const id = await create(url, { method: 'GET', payload: undefined });
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({ status: 'done', result: null });
    expect(calls).toMatchObject([{ method: 'GET', body: '' }]);
    expect(calls[0]?.headers).not.toHaveProperty('content-type');
    expect(await verify(calls[0] as Call, secret)).toBe('');
  });

  it('sends its headers, and Punctual’s own cannot be replaced by SQL', async () => {
    const { url, calls } = await receive(answering(200));
    const id = await create(url, {
      headers: { Authorization: 'Bearer hush', 'Content-Type': 'application/x+json' },
    });
    await database.sql(
      `update punctual.jobs set request = jsonb_set(request, '{headers}', request->'headers' || $1) where id = $2`,
      [{ 'Idempotency-Key': 'x', 'PUNCTUAL-Signature': 't=1,v1=0', 'Punctual-Attempt': '9' }, id],
    );
    await bench.tick();
    const [call] = calls as [Call];
    expect(call.headers).toMatchObject({
      authorization: 'Bearer hush',
      'content-type': 'application/x+json',
      'punctual-attempt': '1',
      'idempotency-key': expect.stringMatching(/^job-/),
    });
    expect(await verify(call, secret)).toBe(call.body);
  });

  it('that was inserted by SQL with its URL alone is called by POST', async () => {
    const { url, calls } = await receive(answering(200));
    await create(url);
    await database.sql(
      `update punctual.jobs set name = 'any', request = jsonb_build_object('url', request->'url')`,
    );
    await bench.tick();
    expect(calls).toMatchObject([{ method: 'POST', body: JSON.stringify(payload) }]);
  });

  it.each([
    ['{"url": "nonsense"}', /^its request is invalid: request\.url: is not a valid URL$/],
    ['{"url": "https://a.test", "method": "TRACE"}', /^its request is invalid: request\.method: /],
    ['{"url": "https://a.test", "headers": {"a": 1}}', /^its request is invalid: request\.headers\.a: /],
  ])('that was inserted by SQL as %s is failed at once', async (request, error) => {
    const id = await create('https://127.0.0.1/');
    await database.sql('update punctual.jobs set request = $1::jsonb', [JSON.parse(request)]);
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({
      status: 'failed',
      attempts: 1,
      last_error: expect.stringMatching(error),
    });
  });

  it('waits while no secret is set, at no cost of an attempt', async () => {
    const { url, calls } = await receive(answering(200));
    const id = await create(url);
    const deps = { guard: addressGuard(['127.0.0.1']), signingSecrets: [] };
    await bench.tick({ deps });
    const row = await bench.job(id);
    expect(row).toMatchObject({ status: 'pending', attempts: 0 });
    expect(row.last_error).toBe(`${new URL(url).host} was not called: set JOB_SIGNING_SECRET and redeploy`);
    expect(waitOf(row)).toBe(300);
    expect(calls).toEqual([]);
  });
});

describe('a receiver refuses a call', () => {
  const refusalOf = (verified: Promise<string>) => verified.catch((error) => error.kind);
  const oneCall = async (env: JobEnv = {}) => {
    const { url, calls } = await receive(answering(200));
    await create(url, {}, env);
    await bench.tick();
    return calls[0] as Call;
  };
  const inTime = (seconds: number) => () => bench.clock.now() + seconds * 1_000;

  it('that is replayed after 300 s, and accepts it before', async () => {
    const call = await oneCall();
    expect(await verify(call, secret, inTime(299))).toBe(call.body);
    expect(await refusalOf(verify(call, secret, inTime(302)))).toBe('expired');
  });

  it('whose body was altered', async () => {
    const call = await oneCall();
    expect(await refusalOf(verify({ ...call, body: call.body.replace('42', '43') }, secret))).toBe(
      'mismatch',
    );
  });

  it('with another secret, and accepts both while the secret is changed', async () => {
    const rotated = await oneCall({ jobSigningSecrets: ['new', secret] });
    for (const known of ['new', secret]) expect(await verify(rotated, known)).toBe(rotated.body);
    expect(await refusalOf(verify(rotated, 'another'))).toBe('mismatch');
  });
});

describe('the answer of a receiver', () => {
  const big = JSON.stringify('x'.repeat(70_000));
  it.each<[answer: string, respond: RequestListener, row: object]>([
    ['201 with JSON', answering(201, {}, '[1,2]'), { result: [1, 2] }],
    ['200 with a text', answering(200, { 'content-type': 'text/html' }, '<p>ok</p>'), { result: null }],
    [
      '200 with 70 KB',
      answering(200, {}, big),
      { result: { omitted: 'the result is 70002 bytes of JSON; the limit is 65536 bytes' } },
    ],
    [
      '200 with 2 MB',
      answering(200, {}, 'x'.repeat(2_000_000)),
      { result: { omitted: 'the response is more than 1048576 bytes' } },
    ],
  ])('%s is done', async (_answer, respond, row) => {
    expect(await callOnce(respond)).toMatchObject({ status: 'done', attempts: 1, ...row });
  });

  it.each([400, 401, 403, 404, 409, 410, 413, 422, 451])(
    '%i fails the job at once, with the text',
    async (status) => {
      const row = await callOnce(answering(status, {}, 'there is no order 42'));
      expect(row).toMatchObject({ status: 'failed', attempts: 1 });
      expect(row.last_error).toMatch(/^127\.0\.0\.1:\d+ answered \d+: there is no order 42$/);
    },
  );

  it.each([408, 425, 500, 502, 503, 504, 599])('%i is retried by the backoff', async (status) => {
    const row = await callOnce(answering(status, {}, 'broken'));
    expect(row).toMatchObject({ status: 'pending', attempts: 1 });
    expect(row.last_error).toMatch(/ answered \d+: broken$/);
    expect(waitOf(row)).toBeGreaterThan(0);
    expect(waitOf(row)).toBeLessThanOrEqual(30);
  });

  const inTenMinutes = () => new Date(bench.clock.now() + 600_000).toUTCString();
  it.each<[status: number, header: string | (() => string) | null, seconds: number]>([
    [429, '120', 120],
    [503, '120', 120],
    [429, inTenMinutes, 600],
    [503, inTenMinutes, 600],
    [429, null, 60],
    [429, 'soon', 60],
    [429, '0', 5],
    [503, '99999999', 604_800],
  ])('%i with Retry-After %s waits %d s, and costs no attempt', async (status, header, seconds) => {
    const row = await callOnce((_request, response) => {
      const value = typeof header === 'function' ? header() : header;
      response.writeHead(status, value === null ? {} : { 'retry-after': value }).end();
    });
    expect(row).toMatchObject({ status: 'pending', attempts: 0 });
    expect(row.last_error).toMatch(/ answered \d+$/);
    expect(waitOf(row)).toBe(seconds);
  });

  it('shows no header of the job, no signature and no value of the query, in the row and in its history', async () => {
    const quoted: string[] = [];
    const { url } = await receive((request, response) => {
      quoted.push(String(request.headers['punctual-signature']));
      const { authorization, 'x-team': team } = request.headers;
      const said = `no: ${request.url} ${authorization} ${team} ${quoted}`;
      response.writeHead(422).end(said);
    });
    const id = await create(`${url}?key=query-secret`, {
      headers: { Authorization: 'Basic aHVzaDpodXNo', 'X-Team': 'blue-secret' },
    });
    await bench.tick();
    const { request: _request, ...row } = await bench.job(id);
    expect(row.last_error).toMatch(/ answered 422: no: /);
    const story = JSON.stringify([
      row,
      await database.rpc('read_row', { p_queue: 'jobs', p_id: id }),
      await database.rpc('list_rows', { p_queue: 'jobs' }),
      await database.rpc('read_job', { p_id: id }),
      bench.logged,
    ]);
    expect(story).toContain('answered 422');
    const [, mac = 'none'] = /v1=(\w+)/.exec(quoted.join()) ?? [];
    for (const hush of ['query-secret', 'aHVzaDpodXNo', 'blue-secret', mac, secret])
      expect(story).not.toContain(hush);
  });
});

it('the result of a job keeps what its answer repeats, but no credential of the call', async () => {
  const { url } = await receive((request, response) => {
    const said = [request.url, { [String(request.headers.authorization)]: 1 }, request.headers];
    response.end(JSON.stringify(said));
  });
  const headers = { Authorization: 'Bearer hush-hush', 'X-Api-Key': 'hush-too', 'X-Team': 'blue-team' };
  const id = await create(`${url}?token=hush-also&shop=berlin`, { headers });
  await bench.tick();
  const { result } = await bench.job(id);
  expect(result).toMatchObject([
    '/hook?token=***&shop=berlin',
    { 'Bearer ***': 1 },
    { authorization: 'Bearer ***', 'x-api-key': '***', 'x-team': 'blue-team' },
  ]);
  expect(JSON.stringify(result)).toMatch(/"punctual-signature":"t=\d+,v1=\*\*\*"/);
});

describe('a receiver that', () => {
  it('is down gets the job later, under the same key', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => closed.once('listening', resolve));
    const { port } = closed.address() as { port: number };
    await new Promise((resolve) => closed.close(resolve));
    const id = await create(`http://127.0.0.1:${port}/hook`);
    await bench.tick();
    const down = await bench.job(id);
    expect(down).toMatchObject({
      status: 'pending',
      attempts: 1,
      last_error: `127.0.0.1:${port} could not be reached (ECONNREFUSED)`,
    });

    // It comes back and fails once more.
    const { url, calls } = await receive((_request, response) =>
      response.writeHead(calls.length === 1 ? 500 : 200).end(),
    );
    await database.sql(`update punctual.jobs set request = jsonb_set(request, '{url}', to_jsonb($1::text))`, [
      url,
    ]);
    for (let n = 0; n < 2; n++) {
      bench.clock.skip(3_600_000);
      await bench.tick();
    }
    expect(await bench.job(id)).toMatchObject({ status: 'done', attempts: 3 });
    expect(calls.map(({ headers }) => headers['punctual-attempt'])).toEqual(['2', '3']);
    const keys = calls.map(({ headers }) => headers['idempotency-key']);
    expect(new Set(keys)).toEqual(new Set([`job-${id}-${Date.parse(down.created_at)}`]));
    // Each call is signed anew: a receiver would refuse the first one's time.
    expect(await verify(calls[1] as Call, secret)).toBe(calls[1]?.body);
    expect(await verify(calls[0] as Call, secret).catch((error) => error.kind)).toBe('expired');
  });

  it.each<[how: string, respond: RequestListener, error: RegExp]>([
    ['resets the connection', (request) => request.socket.destroy(), /could not be reached \(ECONNRESET\)$/],
    [
      'breaks off its answer',
      (request, response) => {
        response.writeHead(200, { 'content-length': '10' }).write('{');
        response.flushHeaders();
        setImmediate(() => request.socket.destroy());
      },
      /answered 200, and its response was cut off$/,
    ],
    [
      'redirects',
      answering(308, { location: '/elsewhere' }),
      /answered 308, a redirect, which is not followed: /,
    ],
    ['switches to another protocol', answering(101, { upgrade: 'x', connection: 'upgrade' }), /./],
  ])('%s is called again', async (_how, respond, error) => {
    expect(await callOnce(respond)).toMatchObject({
      status: 'pending',
      attempts: 1,
      last_error: expect.stringMatching(error),
    });
  });

  it('does not answer in time is given up, and its connection is closed', async () => {
    const attempt = new AbortController();
    const slow = await serve(() => attempt.abort());
    const job = { id: '1', created_at: '2026-03-02T12:00:00Z', payload, request: { url: '' } };
    job.request.url = `http://${slow.host}/`;
    const deps = { guard: addressGuard(['127.0.0.1']), signingSecrets: [secret] };
    const clock = { now: Date.now, timer: () => () => {} };
    await expect(callUrl(job, deps, { clock, attempt: 1, signal: attempt.signal })).rejects.toMatchObject({
      kind: 'uncertain',
      message: `${slow.host} did not respond in time`,
    });
    expect(await slow.openConnections()).toBe(0);
  });

  it('redirects to a private address is not followed there', async () => {
    const inside = await receive(answering(200));
    const { url } = await receive(answering(302, { location: inside.url }));
    const id = await create(url);
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({ status: 'pending', attempts: 1 });
    expect(inside.calls).toEqual([]);
  });
});

describe('a call is not made', () => {
  /** Puts a URL into a row as an insert by SQL would, and runs it under a guard without exceptions. */
  async function callBySql(url: string, allowed: string[] = []) {
    const id = await create('https://127.0.0.1/');
    await database.sql(
      `update punctual.jobs set request = jsonb_build_object('url', $1::text) where id = $2`,
      [url, id],
    );
    const resolve = dnsResolver([dns.address]);
    const guard = addressGuard(allowed, { resolve, variable: 'MONITOR_ALLOW_PRIVATE' });
    await bench.tick({ deps: { guard, signingSecrets: [secret] } });
    return bench.job(id);
  }

  // A name with a public address beside a private one is called at the public one.
  const isPrivate = (url: string) => URL.canParse(url) && !url.includes('mixed');
  const overTls = hostileUrls.filter(isPrivate).map((url) => url.replace(/^http:/, 'https:'));
  it.each(overTls)('to %s', async (url) => {
    const row = await callBySql(url);
    expect(row).toMatchObject({ status: 'failed', attempts: 1 });
    expect(row.last_error).toMatch(/ was not called: .*(public address|credentials)/);
  });

  it('without TLS, but to an exception', async () => {
    const row = await callBySql('http://public.test/');
    expect(row).toMatchObject({ status: 'failed', attempts: 1 });
    expect(row.last_error).toMatch(/ was not called: it is http:\/\/, .* MONITOR_ALLOW_PRIVATE /);
  });

  it('to a private address behind a name, and the receiver there hears nothing', async () => {
    const { url, calls } = await receive(answering(200));
    const { port } = new URL(url);
    const row = await callBySql(`https://loopback.test:${port}/hook`);
    expect(row.last_error).toMatch(
      /^loopback\.test:\d+ was not called: loopback\.test has no public address/,
    );
    expect(calls).toEqual([]);
    expect(await callBySql(`http://loopback.test:${port}/hook`, ['loopback.test'])).toMatchObject({
      status: 'done',
    });
    expect(calls).toHaveLength(1);
  });

  it('to another address than the one that was checked', async () => {
    const { url, calls } = await receive(answering(200));
    const target = `http://moved.test:${new URL(url).port}/hook`;
    const before = dns.questions.length;
    expect(await callBySql(target, ['127.0.0.0/8', `moved.test`])).toMatchObject({ status: 'done' });
    expect(calls).toHaveLength(1);
    expect(dns.questions.slice(before).filter((one) => one === 'A moved.test')).toHaveLength(1);
  });
});
