import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { guardAfter, type HttpCheck, httpCheck } from '../../../lib/net/checks/http-check.ts';
import { dnsResolver } from '../../../lib/net/dns-resolver.ts';
import { addressGuard } from '../../../lib/net/public-address.ts';
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts';
import { sites } from '../../support/sites.ts';
import { httpAnswer, loopback } from '../loopback.ts';

const { serve, closeAll } = sites();
const raw = loopback();
afterEach(async () => {
  await closeAll();
  await raw.closeAll();
});

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

const never = new AbortController().signal;
function check(url: string, changes: Partial<HttpCheck> = {}, signal = never) {
  const guard = addressGuard(['127.0.0.0/8', '192.0.2.0/24'], { resolve: dnsResolver([dns.address]) });
  return httpCheck(
    {
      url,
      method: 'GET',
      headers: {},
      expectedStatus: '200-299',
      keywordPresent: null,
      keywordAbsent: null,
      timeoutMs: 2_000,
      degradedMs: null,
      maxRedirects: 5,
      certificateDays: null,
      ...changes,
    },
    { guard },
    signal,
  );
}

/** Responds to any request with a status, headers and a body. */
const respond =
  (status: number, headers: Record<string, string> = {}, body: string | Buffer = ''): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);

describe('a site', () => {
  it('that responds as expected is up, with its timings, and its connection is closed', async () => {
    const site = await serve((_request, response) => {
      setTimeout(() => response.end('fine'), 60);
    });
    const result = await check(`http://site.test:${site.port}/path?query=1#part`);
    expect(result).toMatchObject({
      verdict: 'up',
      error: null,
      statusCode: 200,
      redirects: 0,
      address: '127.0.0.1',
      tlsMs: null,
      certificateExpiresAt: null,
    });
    expect(result.dnsMs).toBeGreaterThanOrEqual(0);
    expect(result.connectMs).toBeGreaterThanOrEqual(0);
    expect(result.firstByteMs).toBeGreaterThanOrEqual(55);
    expect(result.totalMs).toBeGreaterThanOrEqual(result.firstByteMs ?? 0);
    expect(site.requests).toMatchObject([
      {
        method: 'GET',
        url: '/path?query=1',
        headers: { host: `site.test:${site.port}`, connection: 'close' },
      },
    ]);
    expect(await site.openConnections()).toBe(0);
  });

  it('that is named by its IP address needs no lookup', async () => {
    const { host } = await serve(respond(200));
    expect(await check(`http://${host}/`)).toMatchObject({ verdict: 'up', dnsMs: null });
  });

  it.each(['refused.test', 'lost.test'])(
    'at one of the addresses of %s is found, even if the others fail',
    async (name) => {
      const { port } = await serve(respond(200));
      expect(await check(`http://${name}:${port}/`)).toMatchObject({ verdict: 'up', address: '127.0.0.1' });
    },
  );

  it.each([
    [200, '200-299', 'up'],
    [301, '200-299,301', 'up'],
    [404, '404', 'up'],
    [404, '200-299', 'down'],
    [204, '200,201', 'down'],
    [500, '200-299, 301', 'down'],
  ])('that responds with %d if %s is expected is %s', async (status, expectedStatus, verdict) => {
    const { host } = await serve(respond(status));
    expect(await check(`http://${host}/`, { expectedStatus })).toMatchObject({
      verdict,
      statusCode: status,
      error: verdict === 'up' ? null : `it answered ${status}, not ${expectedStatus}`,
    });
  });

  it('slower than degradedMs is degraded', async () => {
    const { host } = await serve((_request, response) => void setTimeout(() => response.end(), 50));
    expect(await check(`http://${host}/`, { degradedMs: 20 })).toMatchObject({
      verdict: 'degraded',
      error: expect.stringMatching(/^it took \d+ ms, which is more than 20 ms$/),
    });
    expect(await check(`http://${host}/`, { degradedMs: 1_000 })).toMatchObject({ verdict: 'up' });
  });

  it.each(['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
    'gets a %s request without a body',
    async (method) => {
      const site = await serve(respond(200));
      expect(await check(`http://${site.host}/`, { method })).toMatchObject({ verdict: 'up' });
      expect(site.requests).toMatchObject([{ method }]);
      expect(Number(site.requests[0]?.headers['content-length'] ?? 0)).toBe(0);
    },
  );

  it("gets the user's headers in place of ours, except those of the connection", async () => {
    const site = await serve(respond(200));
    const headers = {
      'X-Key': 'k',
      'User-Agent': 'mine',
      Connection: 'keep-alive',
      'Content-Length': '5',
      Upgrade: 'x',
    };
    expect(await check(`http://${site.host}/`, { headers })).toMatchObject({ verdict: 'up' });
    expect(site.requests[0]?.headers).toMatchObject({
      'x-key': 'k',
      'user-agent': 'mine',
      connection: 'close',
    });
    expect(site.requests[0]?.headers).not.toHaveProperty('upgrade');
    expect(site.requests[0]?.headers['content-length']).toBeUndefined();
  });

  it('gets no request if a header is invalid, and the error hides the value of the header', async () => {
    const site = await serve(respond(200));
    const result = await check(`http://${site.host}/`, { headers: { 'x-key': 'secret\r\nx: y' } });
    expect(result).toMatchObject({
      verdict: 'down',
      error: expect.stringMatching(/header x-key .* not valid/),
    });
    expect(result.error).not.toMatch(/secret/);
    expect(site.requests).toEqual([]);
  });
});

describe('a keyword', () => {
  const text = 'All systems größer als je zuvor';
  it.each<[label: string, headers: Record<string, string>, body: Buffer]>([
    ['in plain text', {}, Buffer.from(text)],
    ['in gzip', { 'content-encoding': 'gzip' }, gzipSync(text)],
    ['in deflate', { 'content-encoding': 'deflate' }, deflateSync(text)],
    ['in deflate without its header', { 'content-encoding': 'deflate' }, deflateRawSync(text)],
    ['in brotli', { 'content-encoding': 'br' }, brotliCompressSync(text)],
    [
      'in a body that is compressed twice',
      { 'content-encoding': 'br, gzip' },
      gzipSync(brotliCompressSync(text)),
    ],
    ['in Latin-1', { 'content-type': 'text/html; charset=ISO-8859-1' }, Buffer.from(text, 'latin1')],
    ['in an unknown charset', { 'content-type': 'text/html; charset=nonsense' }, Buffer.from(text)],
  ])('is found %s', async (_label, headers, body) => {
    const { host } = await serve(respond(200, headers, body));
    expect(await check(`http://${host}/`, { keywordPresent: 'größer' })).toMatchObject({ verdict: 'up' });
    expect(await check(`http://${host}/`, { keywordPresent: 'kleiner' })).toMatchObject({
      verdict: 'down',
      statusCode: 200,
      error: '"kleiner" is not in its response',
    });
    expect(await check(`http://${host}/`, { keywordAbsent: 'größer' })).toMatchObject({
      verdict: 'down',
      error: '"größer" is in its response',
    });
    expect(await check(`http://${host}/`, { keywordAbsent: 'kleiner' })).toMatchObject({ verdict: 'up' });
  });

  it('is searched for in the first 1 MB, and no more is read', async () => {
    const { host } = await serve((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 'x')));
      };
      response.write('first');
      response.on('drain', more);
      more();
    });
    expect(await check(`http://${host}/`, { keywordPresent: 'first' })).toMatchObject({ verdict: 'up' });
    expect(await check(`http://${host}/`, { keywordPresent: 'last' })).toMatchObject({
      verdict: 'down',
      error: '"last" is not in the first 1 MB of its response',
    });
  });

  it.each(['gzip', 'br'])(
    'in a %s bomb does not cost the memory of the uncompressed body',
    async (coding) => {
      const size = 96 * 1024 * 1024;
      const bomb = coding === 'gzip' ? gzipSync(Buffer.alloc(size)) : brotliBomb(size);
      const { host } = await serve(respond(200, { 'content-encoding': coding }, bomb));
      const before = process.memoryUsage().rss;
      const results = await Promise.all(
        Array.from({ length: 8 }, () => check(`http://${host}/`, { keywordPresent: 'x', timeoutMs: 5_000 })),
      );
      for (const result of results) expect(result).toMatchObject({ verdict: 'down', statusCode: 200 });
      expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
    },
  );

  it.each([
    ['in a way other than declared', { 'content-encoding': 'gzip' }, /cannot be decompressed \(gzip\)/],
    ['in an unknown way', { 'content-encoding': 'zstd' }, /unsupported compression \(zstd\)/],
    ['three times', { 'content-encoding': 'gzip, gzip, gzip' }, /compressed more than twice/],
  ])('in a body compressed %s is not found', async (_label, headers, error) => {
    const { host } = await serve(respond(200, headers, 'x'.repeat(40)));
    expect(await check(`http://${host}/`, { keywordPresent: 'x' })).toMatchObject({
      verdict: 'down',
      error: expect.stringMatching(error),
    });
    expect(await check(`http://${host}/`)).toMatchObject({ verdict: 'up' });
  });

  it('is absent from a response without a body', async () => {
    const { host } = await serve(respond(204, { 'content-encoding': 'gzip' }));
    expect(await check(`http://${host}/`, { keywordPresent: 'x' })).toMatchObject({ verdict: 'down' });
    expect(await check(`http://${host}/`, { keywordAbsent: 'x' })).toMatchObject({ verdict: 'up' });
  });
});

/** Compresses zeros to almost nothing. The best compression would take a minute. */
function brotliBomb(size: number): Buffer {
  return brotliCompressSync(Buffer.alloc(size), { params: { 1: 1 } });
}

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
    expect(result).toMatchObject({ verdict: 'up', redirects: 3, statusCode: 200, address: '127.0.0.1' });
    expect(result.firstByteMs).toBeGreaterThanOrEqual(4 * 18);
    expect(site.requests.map(({ url }) => url)).toEqual(['/0', '/1', '/2', '/3']);
    expect(await site.openConnections()).toBe(0);
  });

  it('beyond maxRedirects makes the site down', async () => {
    const site = await serve(respond(302, { location: '/again' }));
    expect(await check(`http://${site.host}/`, { maxRedirects: 2 })).toMatchObject({
      verdict: 'down',
      error: 'it redirects more often than allowed (after 2 redirects)',
      redirects: 2,
      statusCode: 302,
    });
    expect(site.requests).toHaveLength(3);
  });

  it('counts as the response if none are followed or it leads nowhere', async () => {
    const site = await serve(respond(302, { location: '/again' }));
    expect(await check(`http://${site.host}/`, { maxRedirects: 0, expectedStatus: '302' })).toMatchObject({
      verdict: 'up',
      redirects: 0,
    });
    const nowhere = await serve(respond(302));
    expect(await check(`http://${nowhere.host}/`)).toMatchObject({
      verdict: 'down',
      error: 'it answered 302, not 200-299',
    });
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
    expect(await check(`http://${host}/`)).toMatchObject({
      verdict: 'down',
      error: expect.stringMatching(error),
    });
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
      request.url === '/' ? response.writeHead(status, { location: '/next' }).end() : response.end(),
    );
    expect(await check(`http://${site.host}/`, { method })).toMatchObject({ verdict: 'up' });
    expect(site.requests.map((one) => one.method)).toEqual([method, nextMethod]);
  });

  it("sends the user's headers within the origin, and none to another origin or back from it", async () => {
    const site = await serve((request, response) => {
      const to = {
        '/a': '/b',
        '/b': `http://other.test:${site.port}/c`,
        '/c': `http://site.test:${site.port}/d`,
      }[request.url ?? ''];
      if (to) response.writeHead(302, { location: to }).end();
      else response.end();
    });
    const headers = { authorization: 'Bearer k', cookie: 'c=1', 'x-api-key': 'k' };
    expect(await check(`http://site.test:${site.port}/a`, { headers })).toMatchObject({
      verdict: 'up',
      redirects: 3,
    });
    const seen = site.requests.map(({ headers: got }) => [got.authorization, got.cookie, got['x-api-key']]);
    const none = [undefined, undefined, undefined];
    expect(seen).toEqual([['Bearer k', 'c=1', 'k'], ['Bearer k', 'c=1', 'k'], none, none]);
    expect(site.requests[2]?.headers).toMatchObject({
      host: `other.test:${site.port}`,
      'user-agent': 'Punctual',
    });
  });
});

describe('a faulty server', () => {
  const sendsAndEnds = (bytes: string) => (socket: Socket) => socket.end(bytes);
  it.each<[label: string, answer: (socket: Socket) => void, error: RegExp]>([
    ['closes the connection at once', (socket) => socket.end(), /was interrupted|without a response/],
    ['resets the connection', (socket) => socket.resetAndDestroy(), /was interrupted \(ECONNRESET\)/],
    ['speaks no HTTP', sendsAndEnds('220 mail.test ESMTP\r\n'), /not HTTP \(HPE_/],
    ['responds with arbitrary bytes', sendsAndEnds('\x00\xff\x16\x03\x01'), /not HTTP \(HPE_/],
    [
      'responds with endless headers',
      sendsAndEnds(`HTTP/1.1 200 OK\r\n${`x-a: ${'y'.repeat(1_000)}\r\n`.repeat(20)}\r\n`),
      /headers of its response are longer than 16 KB/,
    ],
    [
      'cuts its body off',
      sendsAndEnds('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'),
      /was interrupted \(ECONNRESET\)/,
    ],
    [
      'cuts a chunked body off',
      sendsAndEnds('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhal'),
      /was interrupted \(ECONNRESET\)/,
    ],
    [
      'sends invalid chunks',
      sendsAndEnds('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n'),
      /not HTTP \(HPE_INVALID_CHUNK_SIZE\)/,
    ],
    [
      'sends two lengths',
      sendsAndEnds('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'),
      /not HTTP \(HPE_/,
    ],
    [
      'switches to another protocol',
      sendsAndEnds('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nx'),
      /another protocol/,
    ],
  ])('that %s is down, with the reason', async (_label, answer, error) => {
    const origin = await raw.answering(answer);
    expect(await check(`${origin}/`, { keywordPresent: 'x' })).toMatchObject({
      verdict: 'down',
      error: expect.stringMatching(error),
    });
  });

  it('that sends only early hints is down at the timeout', async () => {
    const origin = await raw.answering((socket) => {
      const timer = setInterval(() => socket.write('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'), 5);
      socket.on('close', () => clearInterval(timer));
    });
    expect(await check(`${origin}/`, { timeoutMs: 150 })).toMatchObject({
      verdict: 'down',
      statusCode: null,
    });
  });

  it('that responds before the request is judged at once', async () => {
    const origin = await raw.serve((socket) => socket.end(httpAnswer(200, 'eager')));
    const { verdict, error } = await check(`${origin}/`, { timeoutMs: 50_000 });
    expect(['up', 'down']).toContain(verdict);
    expect(error ?? '').not.toMatch(/timed out/);
  });

  it('that responds twice is judged by the first response', async () => {
    const origin = await raw.answering((socket) =>
      socket.end(httpAnswer(200, 'one') + httpAnswer(500, 'two')),
    );
    expect(await check(`${origin}/`, { keywordAbsent: 'two' })).toMatchObject({
      verdict: 'up',
      statusCode: 200,
    });
  });

  it('that does not listen is down', async () => {
    const { host } = await serve(respond(200));
    await closeAll();
    expect(await check(`http://${host}/`)).toMatchObject({
      verdict: 'down',
      error: 'the connection was refused (ECONNREFUSED)',
      address: null,
      connectMs: null,
    });
  });

  it('whose name does not exist is down', async () => {
    expect(await check('http://nowhere.test/')).toMatchObject({
      verdict: 'down',
      error: 'its name does not exist (ENOTFOUND)',
    });
  });
});

describe('a check', () => {
  it.each<[label: string, answer: (socket: Socket) => void, during: RegExp]>([
    ['accepts and never responds', () => {}, /while waiting for its response/],
    [
      'sends a byte now and then',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        const timer = setInterval(() => socket.write('x'), 20);
        socket.on('close', () => clearInterval(timer));
      },
      /while reading its response/,
    ],
    [
      'sends its headers byte by byte',
      (socket) => {
        let at = 0;
        const timer = setInterval(() => socket.write(httpAnswer(200, '')[at++] ?? ''), 20);
        socket.on('close', () => clearInterval(timer));
      },
      /while reading its response/,
    ],
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
    const result = await check(`${origin}/`, { timeoutMs: 250, maxRedirects: 10 });
    expect(result).toMatchObject({
      verdict: 'down',
      error: expect.stringMatching(/^timed out after 250 ms while /),
    });
    expect(result.error).toMatch(during);
    await Promise.all(ended);
  });

  it('of a name that never resolves ends at its timeout', async () => {
    expect(await check('http://silent.test/', { timeoutMs: 200 })).toMatchObject({
      verdict: 'down',
      error: 'timed out after 200 ms while resolving its name',
      dnsMs: null,
      address: null,
    });
  });

  it.each(['before it begins', 'while it runs'])('ends with the signal of its caller, %s', async (when) => {
    const origin = await raw.answering(() => {});
    const signal = when === 'before it begins' ? AbortSignal.abort() : AbortSignal.timeout(60);
    const result = await check(`${origin}/`, { timeoutMs: 600_000 }, signal);
    expect(result).toMatchObject({
      verdict: 'down',
      error: expect.stringMatching(/^stopped after \d+ ms/),
    });
  });
});

describe('a sloppy response that browsers accept', () => {
  it.each([
    ['lines that end in only LF', 'HTTP/1.1 200 OK\ncontent-length: 2\n\nok'],
    ['a control character in a header', 'HTTP/1.1 200 OK\r\nx: a\u0001b\r\ncontent-length: 2\r\n\r\nok'],
    [
      'both a length and chunks',
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ],
  ])('is accepted with %s', async (_label, answer) => {
    const origin = await raw.answering((socket) => socket.end(answer));
    expect(await check(origin, { keywordPresent: 'ok' })).toMatchObject({ verdict: 'up' });
  });

  it.each([
    ["text/html; charset='iso-8859-1'", ''],
    ['text/html', '<html><head><meta charset="iso-8859-1">'],
    ['text/html', '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">'],
  ])('is decoded in the charset that it names: %s %s', async (type, head) => {
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': type }).end(Buffer.from(`${head}größe`, 'latin1'));
    });
    expect(await check(`http://${host}/`, { keywordPresent: 'größe' })).toMatchObject({ verdict: 'up' });
  });
});

it('a public address cannot lead a check to a private one that only the operator may check', () => {
  const guard = addressGuard(['intranet.test', '10.0.0.0/8']);
  const intranet = new URL('http://intranet.test/');
  expect(guard.faultOfAddress(intranet, '10.0.0.1')).toBeNull();
  expect(guardAfter('93.184.216.34', guard).faultOfAddress(intranet, '10.0.0.1')).toMatch(
    /not a public address/,
  );
  expect(guardAfter('10.0.0.9', guard).faultOfAddress(intranet, '10.0.0.1')).toBeNull();
});
