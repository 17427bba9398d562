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

  it.each([
    ['that is an alias', 'www.test', '192.0.2.1', 4],
    ['with an IPv6 address only', 'six.test', '2606:4700::1111', 6],
  ])('%s resolves to its address', async (_label, name, address, family) => {
    const { resolve } = await resolverOver({
      'www.test': { cname: 'cdn.test' },
      'cdn.test': { cname: 'edge.test' },
      'edge.test': ['192.0.2.1'],
      'six.test': ['2606:4700::1111'],
    });
    expect(await resolve(name)).toEqual([{ address, family }]);
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

it('lookups that never end block no thread of the pool, and end with the signal', async () => {
  const { resolve, queries } = await resolverOver({ 'silent.test': 'silence' });
  const ending = new AbortController();
  let ended = 0;
  const count = () => {
    ended += 1;
  };
  const lookups = Array.from({ length: 30 }, () => resolve('silent.test', ending.signal).finally(count));
  const all = Promise.allSettled(lookups);
  // These need a thread of the pool.
  await lookup('127.0.0.1');
  await lookup('localhost');
  expect(ended).toBe(0);
  ending.abort();
  for (const { status } of await all) expect(status).toBe('rejected');
  // Once the signal has fired, no server is queried.
  const before = queries.length;
  await expect(resolve('silent.test', AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
  expect(queries).toHaveLength(before);
});
