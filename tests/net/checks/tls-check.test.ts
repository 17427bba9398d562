import { readFileSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type HttpCheck, httpCheck } from '../../../lib/net/checks/http-check.ts';
import type { CheckResult } from '../../../lib/net/checks/run-check.ts';
import { tcpCheck } from '../../../lib/net/checks/tcp-check.ts';
import { tlsCheck } from '../../../lib/net/checks/tls-check.ts';
import { dnsResolver } from '../../../lib/net/dns-resolver.ts';
import { addressGuard } from '../../../lib/net/public-address.ts';
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts';
import { testAuthority } from '../../support/sites.ts';
import { down, never, plainCheck, respond, siteServers, up } from './site-servers.ts';

/** The longest wait before a test fails. It is no measure of speed. */
const waiting = { timeout: 30_000 };

const { serve, closeAll, raw } = siteServers();
let dns: DnsServer;
beforeAll(async () => {
  dns = await startDnsServer({ 'site.test': ['127.0.0.1'], 'www.site.test': ['127.0.0.1'] });
});
afterAll(() => dns.close());

/** Checks a URL by its scheme. `ca` is the authority that it trusts. */
function check(url: string, changes: Partial<HttpCheck> = {}, ca = testAuthority): Promise<CheckResult> {
  const limits = { ...plainCheck, certificateDays: 14, headers: { 'x-key': 'k' }, ...changes, url };
  const protocols = ['http:', 'https:', 'tcp:', 'tls:'];
  const guard = addressGuard(['127.0.0.0/8'], { protocols, resolve: dnsResolver([dns.address]) });
  if (url.startsWith('tcp:')) return tcpCheck(limits, { guard }, never);
  if (url.startsWith('tls:')) return tlsCheck(limits, { guard, ca }, never);
  return httpCheck(limits, { guard, ca }, never);
}

/** A silent server, and a promise of the end of its connection. */
async function silentServer() {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const origin = await raw.serve((socket) => void socket.resume().on('close', end));
  return { origin, ended };
}

const validUntil = '2125-01-01T00:00:00.000Z';

describe.each(['https', 'tls'])('a certificate over %s', (scheme) => {
  const serveWith = async (certificate: string, onName?: (name: string | false) => void) => {
    const site = await serve(respond(200, {}, 'fine'), certificate, onName);
    return { ...site, url: `${scheme}://site.test:${site.port}` };
  };

  it.each(['site.test', 'www.site.test', 'site.test.', '127.0.0.1'])(
    'that is valid for %s makes the site up, and its expiry is reported',
    async (name) => {
      const site = await serveWith('valid');
      expect(await check(`${scheme}://${name}:${site.port}`)).toMatchObject({
        ...up,
        address: '127.0.0.1',
        statusCode: scheme === 'https' ? 200 : null,
        certificateExpiresAt: validUntil,
        connectMs: expect.any(Number),
        tlsMs: expect.any(Number),
      });
      expect(await site.openConnections()).toBe(0);
    },
  );

  it('is requested by the host name, and without a name for an IP address', async () => {
    const names: unknown[] = [];
    const site = await serveWith('valid', (name) => names.push(name));
    await check(`${scheme}://site.test.:${site.port}`);
    await check(`${scheme}://127.0.0.1:${site.port}`);
    await vi.waitFor(() => expect(names).toEqual(['site.test', false]), waiting);
  });

  it('that expires within certificateDays makes the site degraded', async () => {
    const { url } = await serveWith('valid');
    const soon = { certificateDays: 40_000 };
    const degraded = (error: RegExp) => ({ verdict: 'degraded', error: expect.stringMatching(error) });
    const expires = /^its certificate expires in \d+ days \(2125-01-01\)$/;
    expect(await check(url, soon)).toMatchObject(degraded(expires));
    const slow = /^it took .*; its certificate expires in/;
    expect(await check(url, { ...soon, degradedMs: 0 })).toMatchObject(degraded(slow));
    expect(await check(url, { certificateDays: null })).toMatchObject(up);
  });

  it.each([
    ['expired', 'its certificate has expired (2021-01-01)', '2021-01-01T00:00:00.000Z'],
    ['future', 'its certificate is not valid yet', validUntil],
    ['other-name', 'its certificate is for another name', validUntil],
    ['self-signed', 'its certificate is self-signed', validUntil],
  ])('that is %s makes the site down, and no request is sent', async (name, error, certificateExpiresAt) => {
    const site = await serveWith(name);
    expect(await check(site.url)).toMatchObject({ ...down(error), certificateExpiresAt, statusCode: null });
    expect(site.requests).toEqual([]);
    expect(await site.openConnections()).toBe(0);
  });

  it('of an untrusted authority makes the site down', async () => {
    const site = await serveWith('valid');
    const untrusted = 'its certificate comes from an untrusted issuer, or its chain is incomplete';
    // Without the tests' own authority.
    expect(await check(site.url, {}, '')).toMatchObject(down(untrusted));
    expect(site.requests).toEqual([]);
  });

  const speakHttp = (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
  it.each<[label: string, answer: (socket: Socket) => void, error: RegExp]>([
    ['speaks no TLS', speakHttp, /does not speak TLS|TLS handshake failed/],
    ['closes the connection', (socket) => socket.end(), /closed the connection during|was interrupted/],
    ['resets the connection', (socket) => socket.resetAndDestroy(), /was interrupted/],
  ])('from a server that %s makes the site down', async (_label, answer, error) => {
    const origin = await raw.serve((socket) => void socket.once('data', () => answer(socket)));
    expect(await check(origin.replace('http', scheme))).toMatchObject(down(error));
  });

  it('from a silent server is awaited until the timeout, when the connection closes too', async () => {
    const { origin, ended } = await silentServer();
    const late = down('timed out after 150 ms while negotiating TLS');
    expect(await check(origin.replace('http', scheme), { timeoutMs: 150 })).toMatchObject(late);
    await ended;
  });
});

it('a check with redirects reports the certificate', async () => {
  const last = await serve(respond(200), 'valid');
  const first = await serve(respond(302, { location: `https://site.test:${last.port}/` }), 'valid');
  const found = { ...up, redirects: 1, certificateExpiresAt: validUntil };
  expect(await check(`https://site.test:${first.port}/`)).toMatchObject(found);
});

describe('a TCP check', () => {
  it('of an open port is up, and closes its connection', async () => {
    const { origin, ended } = await silentServer();
    const none = { dnsMs: null, tlsMs: null, firstByteMs: null, statusCode: null };
    const found = { ...up, ...none, address: '127.0.0.1', connectMs: expect.any(Number) };
    expect(await check(origin.replace('http', 'tcp'))).toMatchObject(found);
    await ended;
    const byName = await check(`tcp://site.test:${new URL(origin).port}`);
    expect(byName).toMatchObject({ ...up, dnsMs: expect.any(Number) });
  });

  it('of a closed port is down, and so is one without a port', async () => {
    const { host } = await serve(respond(200));
    await closeAll();
    expect(await check(`tcp://${host}`)).toMatchObject(down('the connection was refused (ECONNREFUSED)'));
    expect(await check('tcp://127.0.0.1')).toMatchObject({ verdict: 'down' });
  });
});

it('a TLS check also accepts a server that does not speak HTTP/1.1', async () => {
  const read = (name: string) =>
    readFileSync(new URL(`../../fixtures/certificates/${name}`, import.meta.url), 'utf8');
  const server = createTlsServer({ key: read('server.key'), cert: read('valid.crt'), ALPNProtocols: ['h2'] });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  expect(await check(`tls://site.test:${port}`)).toMatchObject(up);
  await new Promise((resolve) => server.close(resolve));
});
