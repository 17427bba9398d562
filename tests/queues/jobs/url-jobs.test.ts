import { randomBytes } from 'node:crypto';
import { text as readText } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { GET as tickJobs } from '../../../app/api/cron/jobs/route.ts';
import { endpoints } from '../../../lib/api/jobs.ts';
import { endpoints as queuesApi } from '../../../lib/api/queues.ts';
import { verifySignature } from '../../../lib/jobs/signature.ts';
import type { UrlJob } from '../../../lib/queues/jobs/create-job.ts';
import { enqueueJobs } from '../../../lib/queues/jobs/new-jobs.ts';
import type { JobEnv } from '../../../lib/queues/jobs/queue.ts';
import { punctual } from '../../../punctual.ts';
import { answered, apiRequest, bearer, CRON_SECRET, withKey } from '../../support/api-server.ts';
import { startDnsServer } from '../../support/dns-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { hostileUrls, hostileZone } from '../../support/hostile-urls.ts';
import { assertProperty, runs } from '../../support/property.ts';
import { sites } from '../../support/sites.ts';

const { 'GET /queues/:queue/rows': listRows } = queuesApi;
const { createJob, createJobs } = punctual;

const { 'GET /jobs/:id': GET, 'POST /jobs': POST, 'POST /jobs/run': run } = endpoints;

const secret = 'the secret of this app';
const dns = await startDnsServer(hostileZone);
const database = servedDatabase({
  JOB_SIGNING_SECRET: secret,
  JOB_SIGNING_SECRET_PREVIOUS: 'the one before',
  MONITOR_ALLOW_PRIVATE: '127.0.0.1',
  MONITOR_DNS_SERVERS: dns.address,
});
const { serve, closeAll } = sites();
afterEach(closeAll);
afterAll(() => dns.close());

const url = 'https://public.test/hook';
const post = (body: unknown) =>
  answered(POST(apiRequest('POST', '/api/jobs', withKey, JSON.stringify(body))));
const read = (id: string) =>
  answered(GET(apiRequest('GET', `/api/jobs/${id}`), { params: Promise.resolve({ id }) }));
const rows = () => database.sql('select * from punctual.jobs order by id');

/** Returns the errors, and expects that nothing was created. */
async function refusal(input: unknown) {
  const { status, body } = await post(input);
  expect({ status, kind: body.error?.kind }).toEqual({ status: 422, kind: 'invalid' });
  expect(await rows()).toEqual([]);
  return body.error.errors;
}

describe('POST /api/jobs with a URL', () => {
  it('creates a job that is named for its call, and shows neither its query nor its headers', async () => {
    const headers = { Authorization: 'Bearer hush', 'X-Team': 'hush too' };
    const target = `${url}?token=hush`;
    const { status, body } = await post({ url: `${target}#part`, method: 'PUT', headers, payload: [1] });
    expect(status).toBe(201);
    const [{ id }] = body.rows;
    expect(await rows()).toMatchObject([
      {
        name: `PUT ${url}`,
        payload: [1],
        queue: 'default',
        request: { url: target, method: 'PUT', headers },
      },
    ]);
    const shown = { Authorization: '***', 'X-Team': '***' };
    const request = { method: 'PUT', url: `${url}?***`, headers: shown };
    const single = await read(id);
    expect(single.body).toMatchObject({ name: `PUT ${url}`, request, payload: [1] });
    const list = await answered(
      listRows(apiRequest('GET', '/api/queues/jobs/rows'), { params: Promise.resolve({ queue: 'jobs' }) }),
    );
    expect(JSON.stringify(list.body)).toContain(`PUT ${url}`);
    expect(JSON.stringify([single, list])).not.toContain('hush');
  });

  it('takes every other field as a job with a handler does', async () => {
    const fields = { queue: 'hooks', priority: 0, unique_key: 'k', max_attempts: 9, timeout_seconds: 3 };
    const { status } = await post([
      { url, ...fields, run_at: '2030-01-01T00:00:00Z' },
      { name: 'nap', payload: { seconds: 1 } },
    ]);
    expect(status).toBe(201);
    expect(await rows()).toMatchObject([
      { ...fields, payload: {} },
      { name: 'nap', request: null },
    ]);
  });

  it('keeps a unique key for the method and the URL without its query', async () => {
    const keyed = (changes: object = {}) => ({ url, unique_key: 'k', ...changes });
    const { body } = await post([
      keyed(),
      keyed({ url: `${url}?again=1` }),
      keyed({ method: 'PUT' }),
      keyed({ url: `${url}/other` }),
    ]);
    expect(body.rows.map(({ created }: { created: boolean }) => created)).toEqual([true, false, true, true]);
  });

  it('takes the longest URL with the longest key', async () => {
    // Random, because Postgres compresses what repeats.
    const start = 'https://public.test/';
    const longest =
      start +
      randomBytes(1_500)
        .toString('base64url')
        .slice(0, 2_000 - start.length);
    const unique_key = String.fromCharCode(...Array.from(randomBytes(200), (byte) => 0x4e00 + byte * 7));
    const { status, body } = await post({ url: longest, method: 'DELETE', unique_key });
    expect([status, body.error]).toEqual([201, undefined]);
    expect((await post({ url: `${longest}x` })).status).toBe(422);
  });

  it.each<[what: string, job: object, field: string, message: RegExp]>([
    ['a name too', { name: 'nap' }, 'name', /Unrecognized key/],
    ['a URL that is no text', { url: 7 }, 'url', /./],
    ['a null URL', { url: null }, 'url', /./],
    ['another scheme', { url: 'ftp://public.test/' }, 'url', /^must begin with https:\/\//],
    ['no host', { url: 'https://' }, 'url', /^is not a valid URL$/],
    ['white space', { url: 'https://public.test/a b' }, 'url', /white space/],
    ['a line break', { url: 'https://public.test/\r\nX: y' }, 'url', /white space/],
    ['credentials', { url: 'https://a:b@public.test/' }, 'url', /credentials/],
    ['port 0', { url: 'https://public.test:0/' }, 'url', /port 0/],
    [
      'a URL that is too long in ASCII',
      { url: `https://public.test/${'ü'.repeat(700)}` },
      'url',
      /longer than 2000/,
    ],
    [
      'no TLS',
      { url: 'http://public.test/' },
      'url',
      /^cannot be called: it is http:\/\/, .* add its host to MONITOR_ALLOW_PRIVATE and restart$/,
    ],
    [
      'a private address',
      { url: 'https://10.0.0.1/' },
      'url',
      /^cannot be called: 10\.0\.0\.1 is not a public address: if it is yours, add it to MONITOR_ALLOW_PRIVATE and restart$/,
    ],
    [
      'a name of a private address',
      { url: 'https://intranet.test/' },
      'url',
      /^cannot be called: intranet\.test resolves to 10\.1\.2\.3, /,
    ],
    ['another method', { method: 'TRACE' }, 'method', /./],
    ['a payload for GET', { method: 'GET', payload: {} }, 'payload', /not sent by GET/],
    ['NUL in its payload', { payload: { a: '\0' } }, 'payload', /cannot be stored/],
    [
      'a time that is too long',
      { timeout_seconds: 31 },
      'timeout_seconds',
      /^is 31; a job that calls a URL may take at most 30 s$/,
    ],
    ['a window without a key', { unique_seconds: 5 }, 'unique_seconds', /needs a unique_key/],
    [
      'a header of the connection',
      { headers: { Connection: 'hush' } },
      'headers.Connection',
      /set by Punctual itself/,
    ],
    ['a host', { headers: { HOST: 'hush' } }, 'headers.HOST', /set by Punctual itself/],
    [
      'a signature',
      { headers: { 'punctual-signature': 'hush' } },
      'headers.punctual-signature',
      /set by Punctual itself/,
    ],
    [
      'an idempotency key',
      { headers: { 'Idempotency-Key': 'hush' } },
      'headers.Idempotency-Key',
      /set by Punctual itself/,
    ],
    ['a header of two lines', { headers: { a: 'hush\r\nb: c' } }, 'headers.a', /cannot contain/],
    ['a masked header', { headers: { a: '***' } }, 'headers.a', /send its true value/],
    [
      '8,001 characters of headers',
      { headers: { a: 'x'.repeat(3_999), b: 'x'.repeat(4_000) } },
      'headers',
      /^are 8001 characters/,
    ],
  ])('refuses a job with %s', async (_what, job, field, message) => {
    const errors = await refusal({ url, ...job });
    expect(errors).toEqual([{ index: 0, field, message: expect.stringMatching(message) }]);
    expect(JSON.stringify(errors)).not.toContain('hush');
  });

  it('refuses headers without a URL, and names the fault of each job', async () => {
    expect(
      await refusal([
        { name: 'nap', payload: { seconds: 1 }, headers: {} },
        { url },
        { url: 'https://localhost/' },
      ]),
    ).toMatchObject([
      { index: 0, field: 'headers' },
      { index: 2, field: 'url' },
    ]);
  });

  it('refuses every header that the connection, the signature or the key needs, and every value that could add one', async () => {
    const own = fc.constantFrom(
      ...['host', 'connection', 'content-length', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect'],
      ...['keep-alive', 'proxy-authorization', 'http2-settings', 'idempotency-key', 'accept-encoding'],
      ...['punctual-signature', 'punctual-attempt', 'punctual-job-id', 'punctual-x'],
    );
    const anyCase = fc
      .tuple(own, fc.infiniteStream(fc.boolean()))
      .map(([name, upper]) =>
        [...name].map((char) => (upper.next().value ? char.toUpperCase() : char)).join(''),
      );
    const control = fc.constantFrom('\r', '\n', '\0', '\r\n', '\x7f', '\x1b', '\u2028', '\u0100');
    const broken = fc
      .tuple(fc.string(), control, fc.string())
      .map((parts): Record<string, string> => ({ 'x-a': parts.join('') }));
    const badName = fc
      .tuple(
        fc.string({ maxLength: 5 }),
        fc.constantFrom(' ', ':', '\n', '\r', '(', 'ü', '"', '/', ''),
        fc.string({ maxLength: 5 }),
      )
      .map((parts) => parts.join(''))
      .filter((name) => name !== '__proto__' && !/^[\w!#$%&'*+.^`|~-]+$/.test(name));
    const named = fc.oneof(anyCase, badName).map((name): Record<string, string> => ({ [name]: 'v' }));
    const env = { jobSigningSecrets: [secret] };
    const rpc = () => Promise.reject(new Error('the database is called'));
    const property = fc.asyncProperty(fc.oneof(named, broken), async (headers) => {
      const error = await enqueueJobs({ rpc, env }, { url: 'https://8.8.8.8/', headers }).catch(
        (thrown) => thrown,
      );
      expect(error.errors?.[0]?.field).toBe(`headers.${Object.keys(headers)[0]}`);
    });
    await assertProperty(property, { numRuns: runs({ quick: 200, all: 2_000 }) });
  });
});

describe('without JOB_SIGNING_SECRET', () => {
  it.each<[string, JobEnv]>([
    ['nor anything else', {}],
    ['but with a list', { jobSigningSecrets: [] }],
  ])('%s a job with a URL is refused, and one with a handler is not', async (_what, env) => {
    const { rpc } = database;
    await expect(enqueueJobs({ rpc, env }, { url })).rejects.toMatchObject({
      kind: 'not_configured',
      variables: ['JOB_SIGNING_SECRET'],
    });
    expect(await rows()).toEqual([]);
    await enqueueJobs({ rpc, env }, { name: 'nap', payload: { seconds: 1 } });
    expect(await rows()).toHaveLength(1);
  });
});

describe('a job may not be created for', () => {
  const rpc = () => Promise.reject(new Error('the database is called'));
  const env = { jobSigningSecrets: [secret], monitorDnsServers: [dns.address] };
  it.each(hostileUrls.flatMap((one) => [one, one.replace(/^http:/, 'https:')]))('%s', async (hostile) => {
    const error = await enqueueJobs({ rpc, env }, { url: hostile }).catch((thrown) => thrown);
    expect(error.errors).toMatchObject([{ index: 0, field: 'url' }]);
  });

  it('a name that resolves elsewhere later: the call is guarded again', async () => {
    const target = 'https://rebound.test/';
    const [job] = [{ url: target }];
    const created = await enqueueJobs({ rpc: async () => ({ rows: [] }), env }, job);
    expect(created.rows).toEqual([]);
    const error = await enqueueJobs({ rpc, env }, job).catch((thrown) => thrown);
    expect(error.errors).toMatchObject([{ field: 'url' }]);
  });
});

describe('createJob and createJobs', () => {
  it('create jobs that call a URL', async () => {
    const runAt = new Date('2030-01-01T00:00:00Z');
    const job: UrlJob = { url, payload: { a: 1 }, headers: { 'x-a': '1' }, run_at: runAt, priority: 2 };
    expect(await createJob(job)).toMatchObject({ status: 'pending', created: true });
    await createJobs([job, { name: 'nap', payload: { seconds: 1 } }]);
    expect(await rows()).toMatchObject([
      { name: `POST ${url}`, priority: 2 },
      { name: `POST ${url}` },
      { name: 'nap' },
    ]);
    expect(Date.parse((await rows())[0].run_at)).toBe(runAt.getTime());
    await expect(createJob({ url: 'https://10.0.0.1/' })).rejects.toThrow('url: cannot be called: ');
    // @ts-expect-error: a job has a name or a URL
    await expect(createJob({ payload: {} })).rejects.toThrow('name: ');
  });
});

describe('a tick by its route', () => {
  it('calls the URL with a signature by both secrets, and keeps the result', async () => {
    const calls: { header: string; body: string }[] = [];
    const { host } = await serve(async (request, response) => {
      calls.push({ header: String(request.headers['punctual-signature']), body: await readText(request) });
      response.end('{"ok":true}');
    });
    const create = async () => (await post({ url: `http://${host}/`, payload: { a: 1 } })).body.rows[0].id;
    const byCron = await create();
    await tickJobs(apiRequest('GET', '/api/cron/jobs', bearer(CRON_SECRET)));
    expect((await read(byCron)).body).toMatchObject({ status: 'done', result: { ok: true } });
    const byHand = await create();
    await run(apiRequest('POST', '/api/jobs/run'));
    expect((await read(byHand)).body).toMatchObject({ status: 'done', result: { ok: true } });
    expect(calls).toHaveLength(2);
    for (const call of calls)
      for (const known of [secret, 'the one before'])
        expect(JSON.parse(await verifySignature(call, known))).toEqual({ a: 1 });
  });
});
