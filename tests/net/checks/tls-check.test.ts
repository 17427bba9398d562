import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { httpCheck } from '../../../lib/net/checks/http-check.ts';
import type { CheckResult } from '../../../lib/net/checks/run-check.ts';
import { tcpCheck } from '../../../lib/net/checks/tcp-check.ts';
import { tlsCheck } from '../../../lib/net/checks/tls-check.ts';
import { dnsResolver } from '../../../lib/net/dns-resolver.ts';
import { addressGuard } from '../../../lib/net/public-address.ts';
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts';
import { sites, testAuthority } from '../../support/sites.ts';
import { loopback } from '../loopback.ts';

/** The longest wait before a test fails. It is no measure of speed. */
const waiting = { timeout: 30_000 };

const { serve, closeAll } = sites();
const raw = loopback();
afterEach(async () => {
  await closeAll();
  await raw.closeAll();
});
let dns: DnsServer;
beforeAll(async () => {
  dns = await startDnsServer({ 'site.test': ['127.0.0.1'], 'www.site.test': ['127.0.0.1'] });
});
afterAll(() => dns.close());

const never = new AbortController().signal;
const certificateFile = (name: string) =>
  readFileSync(new URL(`../../fixtures/certificates/${name}`, import.meta.url), 'utf8');
const options = (ca?: string) => ({
  guard: addressGuard(['127.0.0.0/8'], {
    protocols: ['http:', 'https:', 'tcp:', 'tls:'],
    resolve: dnsResolver([dns.address]),
  }),
  ca,
});

interface Limits {
  timeoutMs?: number;
  degradedMs?: number | null;
  certificateDays?: number | null;
}
const base = { timeoutMs: 2_000, degradedMs: null, certificateDays: 14 };

function check(
  url: string,
  limits: Limits = {},
  ca: string | undefined = testAuthority,
): Promise<CheckResult> {
  const all = { url, ...base, ...limits };
  if (url.startsWith('tcp:')) return tcpCheck(all, options(), never);
  if (url.startsWith('tls:')) return tlsCheck(all, options(ca), never);
  const http = { method: 'GET', headers: { 'x-key': 'k' }, expectedStatus: '200-299', maxRedirects: 5 };
  return httpCheck({ ...all, ...http, keywordPresent: null, keywordAbsent: null }, options(ca), never);
}

describe.each(['https', 'tls'])('a certificate over %s', (scheme) => {
  const serveWith = async (certificate: string) => {
    const site = await serve((_request, response) => response.end('fine'), certificate);
    return { ...site, url: `${scheme}://site.test:${site.port}` };
  };

  it.each(['site.test', 'www.site.test', 'site.test.', '127.0.0.1'])(
    'that is valid for %s makes the site up, and its expiry is reported',
    async (name) => {
      const site = await serveWith('valid');
      const result = await check(`${scheme}://${name}:${site.port}`);
      expect(result).toMatchObject({
        verdict: 'up',
        error: null,
        address: '127.0.0.1',
        statusCode: scheme === 'https' ? 200 : null,
        certificateExpiresAt: '2125-01-01T00:00:00.000Z',
        connectMs: expect.any(Number),
        tlsMs: expect.any(Number),
      });
      expect(await site.openConnections()).toBe(0);
    },
  );

  it('is requested by the host name, and without a name for an IP address', async () => {
    const names: unknown[] = [];
    const site = await serve(
      (_request, response) => response.end(),
      'valid',
      (name) => names.push(name),
    );
    await check(`${scheme}://site.test.:${site.port}`);
    await check(`${scheme}://127.0.0.1:${site.port}`);
    await vi.waitFor(() => expect(names).toEqual(['site.test', false]), waiting);
  });

  it('that expires within certificateDays makes the site degraded', async () => {
    const { url } = await serveWith('valid');
    expect(await check(url, { certificateDays: 40_000 })).toMatchObject({
      verdict: 'degraded',
      error: expect.stringMatching(/^its certificate expires in \d+ days \(2125-01-01\)$/),
    });
    expect(await check(url, { certificateDays: 40_000, degradedMs: 0 })).toMatchObject({
      verdict: 'degraded',
      error: expect.stringMatching(/^it took .*; its certificate expires in/),
    });
    expect(await check(url, { certificateDays: null })).toMatchObject({ verdict: 'up' });
  });

  it.each([
    ['expired', 'its certificate has expired (2021-01-01)', '2021-01-01T00:00:00.000Z'],
    ['future', 'its certificate is not valid yet', '2125-01-01T00:00:00.000Z'],
    ['other-name', 'its certificate is for another name', '2125-01-01T00:00:00.000Z'],
    ['self-signed', 'its certificate is self-signed', '2125-01-01T00:00:00.000Z'],
  ])(
    'that is %s makes the site down, and no request is sent',
    async (certificate, error, certificateExpiresAt) => {
      const site = await serveWith(certificate);
      expect(await check(site.url)).toMatchObject({
        verdict: 'down',
        error,
        certificateExpiresAt,
        statusCode: null,
      });
      expect(site.requests).toEqual([]);
      expect(await site.openConnections()).toBe(0);
    },
  );

  it('of an untrusted authority makes the site down', async () => {
    const site = await serveWith('valid');
    // Without the tests' own authority.
    expect(await check(site.url, {}, '')).toMatchObject({
      verdict: 'down',
      error: 'its certificate comes from an untrusted issuer, or its chain is incomplete',
    });
    expect(site.requests).toEqual([]);
  });

  it.each<[label: string, answer: (socket: Socket) => void, error: RegExp]>([
    [
      'speaks no TLS',
      (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      /does not speak TLS|TLS handshake failed/,
    ],
    ['closes the connection', (socket) => socket.end(), /closed the connection during|was interrupted/],
    ['resets the connection', (socket) => socket.resetAndDestroy(), /was interrupted/],
  ])('from a server that %s makes the site down', async (_label, answer, error) => {
    const origin = await raw.serve((socket) => void socket.once('data', () => answer(socket)));
    expect(await check(origin.replace('http', scheme))).toMatchObject({
      verdict: 'down',
      error: expect.stringMatching(error),
    });
  });

  it('from a silent server is awaited until the timeout, when the connection closes too', async () => {
    let ended: Promise<void> | undefined;
    const origin = await raw.serve((socket) => {
      socket.resume();
      ended = new Promise((resolve) => socket.on('close', () => resolve()));
    });
    expect(await check(origin.replace('http', scheme), { timeoutMs: 150 })).toMatchObject({
      verdict: 'down',
      error: 'timed out after 150 ms while negotiating TLS',
    });
    await ended;
  });
});

it('a check with redirects reports the certificate that expires first', async () => {
  const last = await serve((_request, response) => response.end(), 'valid');
  const first = await serve(
    (_request, response) => response.writeHead(302, { location: `https://site.test:${last.port}/` }).end(),
    'valid',
  );
  expect(await check(`https://site.test:${first.port}/`)).toMatchObject({
    verdict: 'up',
    redirects: 1,
    certificateExpiresAt: '2125-01-01T00:00:00.000Z',
  });
});

describe('a TCP check', () => {
  it('of an open port is up, and closes its connection', async () => {
    let ended: Promise<void> | undefined;
    const origin = await raw.serve((socket) => {
      socket.resume();
      ended = new Promise((resolve) => socket.on('close', () => resolve()));
    });
    expect(await check(origin.replace('http', 'tcp'))).toMatchObject({
      verdict: 'up',
      error: null,
      address: '127.0.0.1',
      dnsMs: null,
      connectMs: expect.any(Number),
      tlsMs: null,
      firstByteMs: null,
      statusCode: null,
    });
    await ended;
    const { port } = new URL(origin);
    expect(await check(`tcp://site.test:${port}`)).toMatchObject({
      verdict: 'up',
      dnsMs: expect.any(Number),
    });
  });

  it('of a closed port is down', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    expect(await check(`tcp://127.0.0.1:${port}`)).toMatchObject({
      verdict: 'down',
      error: 'the connection was refused (ECONNREFUSED)',
    });
  });

  it('without a port is down, and does not throw', async () => {
    expect(await check('tcp://127.0.0.1')).toMatchObject({ verdict: 'down' });
  });
});

it('a TLS check also accepts a server that does not speak HTTP/1.1', async () => {
  const server = createTlsServer({
    key: certificateFile('server.key'),
    cert: certificateFile('valid.crt'),
    ALPNProtocols: ['h2'],
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `tls://site.test:${port}`;
  expect(await tlsCheck({ url, ...base }, options(testAuthority), never)).toMatchObject({ verdict: 'up' });
  await new Promise((resolve) => server.close(resolve));
});
