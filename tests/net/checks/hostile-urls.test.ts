import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpCheck } from '../../../lib/net/checks/http-check.ts';
import type { CheckResult } from '../../../lib/net/checks/run-check.ts';
import { tcpCheck } from '../../../lib/net/checks/tcp-check.ts';
import { tlsCheck } from '../../../lib/net/checks/tls-check.ts';
import { dnsResolver } from '../../../lib/net/dns-resolver.ts';
import { type AddressGuard, addressGuard } from '../../../lib/net/public-address.ts';
import { findUrlFault } from '../../../lib/net/url-fault.ts';
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts';
import { hostileUrls as hostile, hostileZone } from '../../support/hostile-urls.ts';
import { down, never, plainCheck, siteServers, up } from './site-servers.ts';

const { serve } = siteServers();

const list = (text: string) => text.trim().split(/\s+/);

let dns: DnsServer;
beforeAll(async () => {
  dns = await startDnsServer(hostileZone);
});
afterAll(() => dns.close());

const guardWith = (...allowed: string[]) =>
  addressGuard(allowed, {
    protocols: ['http:', 'https:', 'tcp:', 'tls:'],
    resolve: dnsResolver([dns.address]),
  });
const refusal = (url: string, ...allowed: string[]) =>
  findUrlFault(url, guardWith(...allowed), AbortSignal.timeout(300));

function check(url: string, guard: AddressGuard): Promise<CheckResult> {
  const limits = { ...plainCheck, url, timeoutMs: 1_000 };
  if (url.startsWith('tcp:')) return tcpCheck(limits, { guard }, never);
  if (url.startsWith('tls:')) return tlsCheck(limits, { guard }, never);
  return httpCheck(limits, { guard }, never);
}

/** The same for schemes whose hosts `URL` does not normalise. */
const hostileSockets = list(`
  tcp://127.0.0.1:22 tcp://0x7f000001:22 tcp://2130706433:6379 tcp://0177.0.0.1:22 tcp://127.1:22 tcp://127.0.0.1.:22
  tcp://１２７.０.０.１:22 tcp://127%2e0%2e0%2e1:22 tcp://[::1]:22 tcp://[::ffff:10.0.0.1]:22 tcp://LOCALHOST:22 tcp://%6cocalhost:22
  tcp://intranet.test:5432 tcp://InTranet.Test.:5432 tcp://u:p@public.test:22 tls://10.0.0.1 tls://0xa.1:8443 tls://loopback.test
  tls://mixed.test:443
`);

const invalidUrls = list(`
  nonsense //public.test/ http:// http://[fe80::1%25eth0]/ tcp://[fe80::1%eth0]:22 http://256.0.0.1/ http://0x100000000/ http://[::1
`);

const otherRefusals: [reason: RegExp, urls: string[]][] = [
  [
    /neither http nor https nor tcp nor tls/,
    list('ftp://public.test/ file:///etc/passwd gopher://127.0.0.1:6379/_x'),
  ],
  [
    /neither/,
    list('data:text/plain,x javascript:alert(1) unix:/run/docker.sock http+unix://%2Frun%2Fdocker.sock/'),
  ],
  [/no port/, ['tcp://public.test']],
  [/port is 0/, ['tcp://public.test:0']],
  [/valid/, ['tcp:public.test:80', 'tcp://:80', 'tcp://a b:80', 'tcp://a%2fb:80']],
  [/more than a host and a port/, ['tcp://public.test:80/path', 'tls://public.test?x']],
  [/credentials/, ['https://user@public.test/', 'https://:password@public.test/']],
];

describe('a monitor is refused for', () => {
  it.each([...hostile, ...hostileSockets])('%s', async (url) => {
    expect(await refusal(url)).toMatch(/not a public address|credentials|valid/);
  });
  it.each(['', ...invalidUrls])('%j', async (url) => {
    expect(await refusal(url)).toBe('it is not a valid URL');
  });
  it.each(otherRefusals)('the reason %s: %j', async (reason, urls) => {
    for (const url of urls) expect(await refusal(url), url).toMatch(reason);
  });
});

describe('a check opens no connection for', () => {
  it.each([...hostile, ...hostileSockets].filter((url) => URL.canParse(url)))('%s', async (url) => {
    const refused = down(/not a public address|credentials|valid/);
    expect(await check(url, guardWith())).toMatchObject({ ...refused, address: null, connectMs: null });
  });

  const ignoresBase = (url: string) =>
    URL.canParse(url) && new URL(url, 'http://public.test/').href === new URL(url).href;
  it.each(hostile.filter(ignoresBase))('a redirect to %s', async (url) => {
    // The bytes of UTF-8, as they go over the wire.
    const location = Buffer.from(url).toString('latin1');
    const site = await serve((_request, response) => response.writeHead(302, { location }).end());
    const found = await check(`http://loopback.test:${site.port}/`, guardWith(`loopback.test:${site.port}`));
    const refused = down(/(not a public address|credentials).* \(after 1 redirect\)$/);
    expect(found).toMatchObject({ ...refused, redirects: 1, address: null });
  });
});

describe('a monitor is accepted for', () => {
  it.each(
    list(`
      https://public.test/ http://public.test:8080/path?query=1#part https://PUBLIC.test./ tcp://public.test:5432 tls://public.test
      tls://public.test:8443/ http://8.8.8.8/ tcp://8.8.8.8:53 http://134744072/ http://172.15.255.255/ http://172.32.0.1/
      http://[2606:4700::1111]/ http://[64:ff9b::8.8.8.8]/
    `),
  )('%s', async (url) => {
    expect(await refusal(url)).toBeNull();
  });

  it.each(list('https://nowhere.test/ https://silent.test/ https://broken.test/ tcp://nowhere.test:1'))(
    '%s, which does not resolve now, because each check resolves it again',
    async (url) => {
      expect(await refusal(url)).toBeNull();
    },
  );

  it.each([
    [
      '127.0.0.1',
      'http://127.0.0.1/ http://127.0.0.1:99/ http://0x7f.1/',
      'http://loopback.test/ http://a:b@127.0.0.1/ ftp://127.0.0.1/',
    ],
    ['127.0.0.1:8080', 'http://127.0.0.1:8080/', 'http://127.0.0.1:8081/ http://127.0.0.1/'],
    ['127.0.0.1:80', 'http://127.0.0.1/', 'https://127.0.0.1/'],
    ['127.0.0.1:443', 'https://127.0.0.1/', 'http://127.0.0.1/'],
    ['127.0.0.1:22', 'tcp://127.1:22', 'tcp://127.0.0.1:23'],
    ['::1', 'http://[::1]/', 'http://127.0.0.1/'],
    ['[::1]:22', 'tcp://[::1]:22', 'tcp://[::1]:23'],
    ['127.0.0.0/8', 'http://loopback.test/ http://localhost:3000/', 'http://loopback6.test/'],
    ['localhost', 'http://localhost:3000/', 'http://127.0.0.1/'],
    ['Localhost.', 'tcp://localhost:22', 'tcp://127.0.0.1:22'],
    ['10.0.0.0/8', 'tcp://intranet.test:5432 http://mixed.test/', 'http://mixed6.test/'],
    ['10.0.0.0/16', 'http://10.0.0.1/', 'tcp://intranet.test:5432'],
    ['fd00::/8', 'http://unique-local.test/', 'http://[fe80::1]/'],
    ['0.0.0.0/0', 'http://intranet.test/', 'http://[::1]/'],
    ['intranet.test', 'https://intranet.test/ https://INTRANET.test./', 'http://alias.test/'],
    ['intranet.test:443', 'tls://intranet.test', 'tls://intranet.test:444'],
    ['münchen.test', 'http://münchen.test/', 'http://intranet.test/'],
  ])('the exception %s: %s, and not for %s', async (exception, allowed, refused) => {
    for (const url of list(allowed)) expect(await refusal(url, exception), url).toBeNull();
    for (const url of list(refused))
      expect(await refusal(url, exception), url).toMatch(/not a public address|credentials|neither/);
  });

  it.each(['10.0.0.0/33', '10.0.0.0/x', '10.0.0.0/', '10.0.0.0/8/9', 'intranet.test/8', '', ':80', 'a b'])(
    'nothing under the invalid exception %j',
    (exception) => {
      expect(() => guardWith(exception)).toThrow();
    },
  );
});

describe('a name whose addresses change', () => {
  it('after the monitor was accepted is resolved again by the check', async () => {
    const site = await serve((_request, response) => response.end());
    const url = `http://rebound.test:${site.port}/`;
    expect(await refusal(url)).toBeNull();
    const refused = down('rebound.test resolves to 127.0.0.1, which is not a public address');
    expect(await check(url, guardWith())).toMatchObject(refused);
    expect(site.requests).toEqual([]);
  });

  it('is resolved once in a check, and the check connects to that address', async () => {
    const site = await serve((_request, response) => response.end());
    const checkOnce = () => check(`http://once.test:${site.port}/`, guardWith('127.0.0.1/32'));
    expect(await checkOnce()).toMatchObject({ ...up, address: '127.0.0.1' });
    expect(dns.questions.filter((question) => question === 'A once.test')).toHaveLength(1);
    // Any further lookup is refused.
    const refused = down('once.test resolves to 127.0.0.2, which is not a public address');
    expect(await checkOnce()).toMatchObject(refused);
  });

  it.each(['http', 'https', 'tcp', 'tls'])(
    'is caught by the connection itself, even if the lookup passed: %s',
    async (scheme) => {
      const site = await serve((_request, response) => response.end());
      // A guard that trusts a name too early.
      const guard = { ...guardWith(), addressesOf: async () => [{ address: '127.0.0.1', family: 4 }] };
      const refused = { ...down('127.0.0.1 is not a public address'), address: '127.0.0.1', tlsMs: null };
      expect(await check(`${scheme}://public.test:${site.port}`, guard)).toMatchObject(refused);
      expect(site.requests).toEqual([]);
      expect(await site.openConnections()).toBe(0);
    },
  );
});

it('an allowed localhost is this machine, and no DNS server is queried for it', async () => {
  const site = await serve((_request, response) => response.end());
  const before = dns.questions.length;
  const found = await check(`http://localhost:${site.port}/`, guardWith('localhost'));
  expect(found).toMatchObject({ ...up, address: '127.0.0.1' });
  expect(dns.questions.length).toBe(before);
});
