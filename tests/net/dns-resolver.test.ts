import { lookup } from 'node:dns/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { dnsResolver } from '../../lib/net/dns-resolver.ts';
import { type DnsServer, type DnsZone, startDnsServer } from '../support/dns-server.ts';

const servers: DnsServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function resolverOver(zone: DnsZone, silentFor?: 'A' | 'AAAA', lateMs?: number) {
  const server = await startDnsServer(zone, silentFor, lateMs);
  servers.push(server);
  return { resolve: dnsResolver([server.address]), queries: server.questions };
}

describe('a name', () => {
  it('resolves to the addresses of both families, IPv4 first, with one query each', async () => {
    const { resolve, queries } = await resolverOver({
      'site.test': ['2606:4700::1111', '192.0.2.1', '192.0.2.2'],
    });
    const found = await resolve('site.test');
    expect(found.map(({ family }) => family)).toEqual([4, 4, 6]);
    expect(found.map(({ address }) => address).sort()).toEqual(['192.0.2.1', '192.0.2.2', '2606:4700::1111']);
    expect([...queries].sort()).toEqual(['A site.test', 'AAAA site.test']);
  });

  it('that is an alias resolves to the addresses of its target', async () => {
    const { resolve } = await resolverOver({
      'www.test': { cname: 'cdn.test' },
      'cdn.test': { cname: 'edge.test' },
      'edge.test': ['192.0.2.1'],
    });
    expect(await resolve('www.test')).toEqual([{ address: '192.0.2.1', family: 4 }]);
  });

  it('with addresses of one family resolves to them', async () => {
    const { resolve } = await resolverOver({ 'six.test': ['2606:4700::1111'], 'four.test': ['192.0.2.1'] });
    expect(await resolve('six.test')).toEqual([{ address: '2606:4700::1111', family: 6 }]);
    expect(await resolve('four.test')).toEqual([{ address: '192.0.2.1', family: 4 }]);
  });

  it('whose IPv4 response comes late is awaited, even if the IPv6 response is there', async () => {
    const { resolve } = await resolverOver({ 'site.test': ['192.0.2.1', '2606:4700::1111'] }, undefined, 400);
    expect((await resolve('site.test')).map(({ family }) => family)).toEqual([4, 6]);
  });

  it('whose servers never respond for IPv6 resolves without it', async () => {
    const { resolve } = await resolverOver({ 'site.test': ['192.0.2.1'] }, 'AAAA');
    const startedAt = performance.now();
    expect(await resolve('site.test')).toEqual([{ address: '192.0.2.1', family: 4 }]);
    // Waiting for IPv6 would take two tries of 2 s each.
    expect(performance.now() - startedAt).toBeLessThan(3_500);
  });

  it.each([
    ['that does not exist', 'nowhere.test', 'ENOTFOUND'],
    ['without addresses', 'empty.test', 'ENODATA'],
    ['whose servers fail', 'broken.test', 'ESERVFAIL'],
  ])('%s is rejected with the reason', async (_label, name, code) => {
    const { resolve } = await resolverOver({ 'empty.test': 'nothing', 'broken.test': 'fails' });
    await expect(resolve(name)).rejects.toMatchObject({ code });
  });
});

describe('names that never resolve', () => {
  it('end with the signal, 30 at once, and block no thread of the pool', async () => {
    const { resolve } = await resolverOver({ 'silent.test': 'silence' });
    const ending = new AbortController();
    let ended = 0;
    const lookups = Array.from({ length: 30 }, () =>
      resolve('silent.test', ending.signal).finally(() => {
        ended += 1;
      }),
    );
    const all = Promise.allSettled(lookups);
    // These need a thread of the pool.
    await lookup('127.0.0.1');
    await lookup('localhost');
    expect(ended).toBe(0);
    ending.abort();
    for (const { status } of await all) expect(status).toBe('rejected');
  });

  it('are not queried once the signal has fired', async () => {
    const { resolve, queries } = await resolverOver({ 'site.test': ['192.0.2.1'] });
    await expect(resolve('site.test', AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
    expect(queries).toEqual([]);
  });
});
