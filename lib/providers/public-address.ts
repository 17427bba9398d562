import { lookup as resolveName } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/**
 * Keeps addresses that a user gave from reaching what only this server can reach: itself, its network, the metadata service of its
 * cloud. `allowed` are the exceptions, as `host` or `host:port`.
 */
export interface AddressGuard {
  /** Why the address must not be asked, as far as it says so itself; null where it may. Ask again for every redirect. */
  refusal(url: URL): string | null;
  /**
   * For `http.request`: resolves the name, and hands on public addresses only, so that the one connected to is the one that was checked.
   * Fails with `code` PRIVATE_ADDRESS where there is none.
   */
  lookupFor(url: URL): LookupFunction;
}

export const PRIVATE_ADDRESS = 'PRIVATE_ADDRESS';

export function addressGuard(allowed: readonly string[] = []): AddressGuard {
  const exceptions = new Set(allowed.map((host) => host.toLowerCase()));
  const isException = ({ protocol, hostname, port }: URL) =>
    exceptions.has(hostname) ||
    exceptions.has(`${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`);

  return {
    refusal(url) {
      if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'it is neither http nor https';
      if (url.username || url.password) return 'it has credentials in it';
      if (isException(url)) return null;
      const host = url.hostname.replace(/^\[|\]$/g, '');
      // A name is judged by what it resolves to.
      return isIP(host) && !isPublicAddress(host) ? `${host} is no public address` : null;
    },
    lookupFor(url) {
      return isException(url) ? resolveName : lookUpPublic;
    },
  };
}

const lookUpPublic: LookupFunction = (hostname, options, callback) => {
  resolveName(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    const open = addresses.filter(({ address }) => isPublicAddress(address));
    const [first] = open;
    if (!first) {
      const refused = new Error(`${hostname} has no public address`);
      return callback(Object.assign(refused, { code: PRIVATE_ADDRESS }), []);
    }
    if (options.all) callback(null, open);
    else callback(null, first.address, first.family);
  });
};

/** Whether the address, in plain notation, is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  return isIP(address) === 6
    ? globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6')
    : isIP(address) === 4 && !special.check(address, 'ipv4');
}

// All else of IPv6 is local, mapped from IPv4, multicast or given to nobody.
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');

// Source: IANA's registries of special-purpose addresses, and of multicast.
const special = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Azure's own services, to whoever asks from inside.
  ['168.63.129.16', 32],
] as const) {
  special.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  // With Teredo, which carries an IPv4 address, benchmarking and ORCHID.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4 carries one as well.
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
] as const) {
  special.addSubnet(network, prefix, 'ipv6');
}
