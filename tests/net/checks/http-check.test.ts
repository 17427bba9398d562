import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guardAfter, type HttpCheck, httpCheck } from '../../../lib/net/checks/http-check.ts';
import { dnsResolver } from '../../../lib/net/dns-resolver.ts';
import { addressGuard } from '../../../lib/net/public-address.ts';
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts';
import { httpAnswer } from '../loopback.ts';
import { down, never, plainCheck, respond, siteServers, up } from './site-servers.ts';

const { serve, closeAll, raw } = siteServers();

const warnings: Error[] = [];
const collectWarning = (warning: Error) => void warnings.push(warning);
let dns: DnsServer;
beforeAll(async () => {
  process.on('warning', collectWarning);
  dns = await startDnsServer({
    'site.test': ['127.0.0.1'],
    'other.test': ['127.0.0.1'],
    'refused.test': ['127.0.0.9', '127.0.0.1'],
    'lost.test': ['192.0.2.1', '127.0.0.1'],
    'silent.test': 'silence',
  });
});
afterAll(async () => {
  process.off('warning', collectWarning);
  await dns.close();
  expect(warnings).toEqual([]);
});

/** Checks a host or a URL. */
function check(site: string, changes: Partial<HttpCheck> = {}, signal = never) {
  const url = site.startsWith('http:') ? site : `http://${site}/`;
  const guard = addressGuard(['127.0.0.0/8', '192.0.2.0/24'], { resolve: dnsResolver([dns.address]) });
  return httpCheck({ url, ...plainCheck, ...changes }, { guard }, signal);
}

describe('a site', () => {
  it('that responds as expected is up, with its timings, and its connection is closed', async () => {
    const site = await serve((_request, response) => void setTimeout(() => response.end('fine'), 60));
    const result = await check(`http://site.test:${site.port}/path?query=1#part`);
    const none = { redirects: 0, tlsMs: null, certificateExpiresAt: null };
    expect(result).toMatchObject({ ...up, ...none, statusCode: 200, address: '127.0.0.1' });
    expect(result.dnsMs).toBeGreaterThanOrEqual(0);
    expect(result.connectMs).toBeGreaterThanOrEqual(0);
    expect(result.firstByteMs).toBeGreaterThanOrEqual(55);
    expect(result.totalMs).toBeGreaterThanOrEqual(result.firstByteMs ?? 0);
    const headers = { host: `site.test:${site.port}`, connection: 'close' };
    expect(site.requests).toMatchObject([{ method: 'GET', url: '/path?query=1', headers }]);
    expect(await site.openConnections()).toBe(0);
  });

  it('is found at an IP address without a lookup, and at any address of a name, even if the others fail', async () => {
    const { host, port } = await serve(respond(200));
    expect(await check(host)).toMatchObject({ ...up, dnsMs: null });
    for (const name of ['refused.test', 'lost.test'])
      expect(await check(`${name}:${port}`)).toMatchObject({ ...up, address: '127.0.0.1' });
  });

  it.each([
    [200, '200-299', 'up'],
    [301, '200-299,301', 'up'],
    [404, '404', 'up'],
    [404, '200-299', 'down'],
    [204, '200,201', 'down'],
    [500, '200-299, 301', 'down'],
  ])('that responds with %d if %s is expected is %s', async (statusCode, expectedStatus, verdict) => {
    const { host } = await serve(respond(statusCode));
    const error = verdict === 'up' ? null : `it answered ${statusCode}, not ${expectedStatus}`;
    expect(await check(host, { expectedStatus })).toMatchObject({ verdict, statusCode, error });
  });

  it('slower than degradedMs is degraded', async () => {
    const { host } = await serve((_request, response) => void setTimeout(() => response.end(), 50));
    const error = expect.stringMatching(/^it took \d+ ms, which is more than 20 ms$/);
    expect(await check(host, { degradedMs: 20 })).toMatchObject({ verdict: 'degraded', error });
    expect(await check(host, { degradedMs: 1_000 })).toMatchObject(up);
  });

  it('gets a request of any method, without a body', async () => {
    const site = await serve(respond(200));
    const methods = ['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
    for (const method of methods) expect(await check(site.host, { method })).toMatchObject(up);
    expect(site.requests.map(({ method }) => method)).toEqual(methods);
    for (const { headers } of site.requests) expect(Number(headers['content-length'] ?? 0)).toBe(0);
  });

  it("gets the user's headers in place of ours, except those of the connection", async () => {
    const site = await serve(respond(200));
    const ours = { Connection: 'keep-alive', 'Content-Length': '5', Upgrade: 'x' };
    const headers = { 'X-Key': 'k', 'User-Agent': 'mine', ...ours };
    expect(await check(site.host, { headers })).toMatchObject(up);
    const got = site.requests[0]?.headers;
    expect(got).toMatchObject({ 'x-key': 'k', 'user-agent': 'mine', connection: 'close' });
    expect(got).not.toHaveProperty('upgrade');
    expect(got).not.toHaveProperty('content-length');
  });

  it('gets no request if a header is invalid, and the error hides the value of the header', async () => {
    const site = await serve(respond(200));
    const result = await check(site.host, { headers: { 'x-key': 'secret\r\nx: y' } });
    expect(result).toMatchObject(down('the request header x-key is not valid'));
    expect(site.requests).toEqual([]);
  });
});

describe('a redirect', () => {
  it('is followed, its timings are summed, and the last address is reported', async () => {
    const site = await serve((request, response) => {
      const step = Number(request.url?.slice(1));
      setTimeout(() => {
        if (step === 3) response.end();
        else response.writeHead([301, 302, 307][step] ?? 308, { location: `./${step + 1}` }).end('moved');
      }, 20);
    });
    const result = await check(`http://site.test:${site.port}/0`);
    expect(result).toMatchObject({ ...up, redirects: 3, statusCode: 200, address: '127.0.0.1' });
    expect(result.firstByteMs).toBeGreaterThanOrEqual(4 * 18);
    expect(site.requests.map(({ url }) => url)).toEqual(['/0', '/1', '/2', '/3']);
    expect(await site.openConnections()).toBe(0);
  });

  it('beyond maxRedirects makes the site down', async () => {
    const site = await serve(respond(302, { location: '/again' }));
    const tooMany = down('it redirects more often than allowed (after 2 redirects)');
    const found = { ...tooMany, redirects: 2, statusCode: 302 };
    expect(await check(site.host, { maxRedirects: 2 })).toMatchObject(found);
    expect(site.requests).toHaveLength(3);
  });

  it('counts as the response if none are followed or it leads nowhere', async () => {
    const { host } = await serve(respond(302, { location: '/again' }));
    const none = { maxRedirects: 0, expectedStatus: '302' };
    expect(await check(host, none)).toMatchObject({ ...up, redirects: 0 });
    const nowhere = await serve(respond(302));
    expect(await check(nowhere.host)).toMatchObject(down('it answered 302, not 200-299'));
  });

  it.each([
    ['ftp://site.test/', /redirects to ftp:, which is neither/],
    ['file:///etc/passwd', /redirects to file:/],
    ['data:text/plain,ok', /redirects to data:/],
    ['tcp://127.0.0.1:22', /redirects to tcp:/],
    ['http://[::1', /invalid URL/],
    ['http://u:p@site.test/', /contains credentials/],
  ])('to %s makes the site down', async (location, error) => {
    const { host } = await serve(respond(302, { location }));
    expect(await check(host)).toMatchObject(down(error));
  });

  it.each<[status: number, method: string, nextMethod: string]>([
    [301, 'POST', 'GET'],
    [302, 'POST', 'GET'],
    [301, 'PUT', 'PUT'],
    [303, 'PUT', 'GET'],
    [303, 'POST', 'GET'],
    [303, 'HEAD', 'HEAD'],
    [307, 'POST', 'POST'],
    [308, 'DELETE', 'DELETE'],
  ])('with %d of a %s is followed with %s', async (status, method, nextMethod) => {
    const site = await serve((request, response) =>
      response.writeHead(request.url === '/' ? status : 200, { location: '/next' }).end(),
    );
    expect(await check(site.host, { method })).toMatchObject(up);
    expect(site.requests.map((one) => one.method)).toEqual([method, nextMethod]);
  });

  it("sends the user's headers within the origin, and none to another origin or back from it", async () => {
    const site = await serve((request, response) => {
      const [own, other] = [`http://site.test:${site.port}`, `http://other.test:${site.port}`];
      const to = { '/a': '/b', '/b': `${other}/c`, '/c': `${own}/d` }[request.url ?? ''];
      response.writeHead(to ? 302 : 200, to ? { location: to } : {}).end();
    });
    const headers = { authorization: 'Bearer k', cookie: 'c=1', 'x-api-key': 'k' };
    const result = await check(`http://site.test:${site.port}/a`, { headers });
    expect(result).toMatchObject({ ...up, redirects: 3 });
    const seen = site.requests.map(({ headers: got }) => [got.authorization, got.cookie, got['x-api-key']]);
    const [all, none] = [Object.values(headers), [undefined, undefined, undefined]];
    expect(seen).toEqual([all, all, none, none]);
    const ours = { host: `other.test:${site.port}`, 'user-agent': 'Punctual' };
    expect(site.requests[2]?.headers).toMatchObject(ours);
  });

  it('of a public address cannot lead to a private one that only the operator may check', () => {
    const guard = addressGuard(['intranet.test', '10.0.0.0/8']);
    const faultAfter = (address: string) =>
      guardAfter(address, guard).faultOfAddress(new URL('http://intranet.test/'), '10.0.0.1');
    expect(faultAfter('93.184.216.34')).toMatch(/not a public address/);
    expect(faultAfter('10.0.0.9')).toBeNull();
  });
});

/** Sends something again and again until the connection closes. */
const every = (ms: number, send: (socket: Socket) => void) => (socket: Socket) => {
  const timer = setInterval(() => send(socket), ms);
  socket.on('close', () => clearInterval(timer));
};

describe('a faulty server', () => {
  const sends = (bytes: string) => (socket: Socket) => void socket.end(bytes);
  const ok = (rest: string) => sends(`HTTP/1.1 200 OK\r\n${rest}`);
  const chunked = 'transfer-encoding: chunked\r\n\r\n';
  const upgrade = 'HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nx';
  it.each<[label: string, answer: (socket: Socket) => void, error: RegExp]>([
    ['closes the connection at once', (socket) => socket.end(), /was interrupted|without a response/],
    ['resets the connection', (socket) => socket.resetAndDestroy(), /was interrupted \(ECONNRESET\)/],
    ['speaks no HTTP', sends('220 mail.test ESMTP\r\n'), /not HTTP \(HPE_/],
    ['responds with arbitrary bytes', sends('\x00\xff\x16\x03\x01'), /not HTTP \(HPE_/],
    ['responds with endless headers', ok(`${'x-a: yyyyyyyyyy\r\n'.repeat(2_000)}\r\n`), /longer than 16 KB/],
    ['cuts its body off', ok('content-length: 100\r\n\r\nhalf'), /was interrupted \(ECONNRESET\)/],
    ['cuts a chunked body off', ok(`${chunked}5\r\nhal`), /was interrupted \(ECONNRESET\)/],
    ['sends invalid chunks', ok(`${chunked}zzz\r\n`), /not HTTP \(HPE_INVALID_CHUNK_SIZE\)/],
    ['sends two lengths', ok('content-length: 1\r\ncontent-length: 2\r\n\r\nab'), /not HTTP \(HPE_/],
    ['switches to another protocol', sends(upgrade), /another protocol/],
  ])('that %s is down, with the reason', async (_label, answer, error) => {
    expect(await check(await raw.answering(answer), { keywordPresent: 'x' })).toMatchObject(down(error));
  });

  it('that sends only early hints is down at the timeout', async () => {
    const hints = every(5, (socket) => socket.write('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'));
    const result = await check(await raw.answering(hints), { timeoutMs: 150 });
    expect(result).toMatchObject({ verdict: 'down', statusCode: null });
  });

  it('that responds before the request is judged at once', async () => {
    const origin = await raw.serve((socket) => socket.end(httpAnswer(200, 'eager')));
    const { verdict, error } = await check(origin, { timeoutMs: 50_000 });
    expect(['up', 'down']).toContain(verdict);
    expect(error ?? '').not.toMatch(/timed out/);
  });

  it('that responds twice is judged by the first response', async () => {
    const origin = await raw.answering(sends(httpAnswer(200, 'one') + httpAnswer(500, 'two')));
    expect(await check(origin, { keywordAbsent: 'two' })).toMatchObject({ ...up, statusCode: 200 });
  });

  it('that does not listen, or whose name does not exist, is down', async () => {
    const { host } = await serve(respond(200));
    await closeAll();
    const refused = { ...down('the connection was refused (ECONNREFUSED)'), address: null, connectMs: null };
    expect(await check(host)).toMatchObject(refused);
    expect(await check('nowhere.test')).toMatchObject(down('its name does not exist (ENOTFOUND)'));
  });

  it.each([
    ['lines that end in only LF', 'HTTP/1.1 200 OK\ncontent-length: 2\n\nok'],
    ['a control character in a header', 'HTTP/1.1 200 OK\r\nx: a\u0001b\r\ncontent-length: 2\r\n\r\nok'],
    ['both a length and chunks', `HTTP/1.1 200 OK\r\ncontent-length: 2\r\n${chunked}2\r\nok\r\n0\r\n\r\n`],
  ])('that sends %s is accepted, as browsers do', async (_label, answer) => {
    expect(await check(await raw.answering(sends(answer)), { keywordPresent: 'ok' })).toMatchObject(up);
  });
});

describe('a check', () => {
  const drip = every(20, (socket) => socket.write('x'));
  const headersByByte = (socket: Socket) => {
    let at = 0;
    every(20, () => socket.write(httpAnswer(200, '')[at++] ?? ''))(socket);
  };
  it.each<[label: string, answer: (socket: Socket) => void, during: RegExp]>([
    ['accepts and never responds', () => {}, /while waiting for its response/],
    [
      'sends a byte now and then',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        drip(socket);
      },
      /while reading its response/,
    ],
    ['sends its headers byte by byte', headersByByte, /while reading its response/],
    [
      'redirects forever, and slowly',
      (socket) => void setTimeout(() => socket.end(httpAnswer(302, '', { location: '/' })), 70),
      /while (connecting|waiting for its response) \(after \d redirects?\)/,
    ],
  ])('of a server that %s ends at its timeout, and closes its connection', async (_label, answer, during) => {
    const ended: Promise<void>[] = [];
    const origin = await raw.answering((socket) => {
      ended.push(new Promise((resolve) => socket.on('close', () => resolve())));
      answer(socket);
    });
    const result = await check(origin, { timeoutMs: 250, maxRedirects: 10 });
    expect(result).toMatchObject(down(/^timed out after 250 ms while /));
    expect(result.error).toMatch(during);
    await Promise.all(ended);
  });

  it('of a name that never resolves ends at its timeout', async () => {
    const late = { ...down('timed out after 200 ms while resolving its name'), dnsMs: null, address: null };
    expect(await check('silent.test', { timeoutMs: 200 })).toMatchObject(late);
  });

  it('ends with the signal of its caller, before it begins and while it runs', async () => {
    const origin = await raw.answering(() => {});
    const stopped = down(/^stopped after \d+ ms/);
    for (const signal of [AbortSignal.abort(), AbortSignal.timeout(60)])
      expect(await check(origin, { timeoutMs: 600_000 }, signal)).toMatchObject(stopped);
  });
});
