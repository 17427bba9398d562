import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/**
 * Keeps a user's URLs away from places that only this server can reach: the server itself, its network, and the metadata service of its cloud.
 */
export interface AddressGuard {
  /** Returns why the URL must not be requested, without resolving its host; null if it may. Check each redirect again. */
  faultOf(url: URL): string | null;
  /**
   * Returns a `lookup` for `http.request`. It resolves the name and returns public addresses only, so the address that is connected to is one that
   * was checked. Fails with `code` PRIVATE_ADDRESS if there is none.
   */
  lookupFor(url: URL): LookupFunction;
  /** Resolves the host. Rejects with `code` PRIVATE_ADDRESS if any address is private, and with the resolver's own errors. */
  addressesOf(url: URL, signal: AbortSignal): Promise<LookupAddress[]>;
  /** The same guard without exceptions: only public addresses are allowed. */
  readonly withoutExceptions: AddressGuard;
  /** Whether the URL's host is an exception by its name, or as an address in one of the networks. Its name is not resolved. */
  isException(url: URL): boolean;
  /** Returns why a connection to `address` must not be used for `url`; null if it may. */
  faultOfAddress(url: URL, address: string): string | null;
}

/** Resolves a name, never an address, to all its addresses. Rejects with a `code` (`ENOTFOUND`, …) if it has none. */
export type ResolveName = (name: string, signal?: AbortSignal) => Promise<LookupAddress[]>;

export const PRIVATE_ADDRESS = 'PRIVATE_ADDRESS';

/**
 * Makes a guard. `allowed` holds the exceptions: `host` or `host:port` for URLs with this host, and `10.0.0.0/8` for every host that resolves into
 * this network. `variable` is the setting with the exceptions; errors name it. Throws a RangeError for an invalid exception.
 */
export function addressGuard(
  allowed: readonly string[] = [],
  {
    protocols = ['http:', 'https:'],
    resolve = resolveBySystem,
    variable,
  }: { protocols?: readonly string[]; resolve?: ResolveName; variable?: string } = {},
): AddressGuard {
  const { hosts, networks } = readExceptions(allowed);
  const isException = (url: URL) => {
    const host = normalHost(url);
    return hosts.has(host) || hosts.has(`${host} ${url.port || defaultPorts[url.protocol]}`);
  };
  const isAllowed = (address: string) => isPublicAddress(address) || isWithin(networks, address);
  const remedy = variable ? `: if it is yours, add it to ${variable} and restart` : '';
  const resolveHost = async (host: string, signal?: AbortSignal): Promise<LookupAddress[]> => {
    // RFC 6761: localhost is not resolved by DNS servers.
    const literal = isLocalhost(host) ? '127.0.0.1' : host;
    const family = isIP(literal);
    return family === 0 ? resolve(host, signal) : [{ address: literal, family }];
  };

  return {
    faultOf(url) {
      if (!protocols.includes(url.protocol)) return `it is neither ${names(protocols)}`;
      if (url.username || url.password) return 'it contains credentials';
      const host = normalHost(url);
      if (host === '') return 'it has no valid host';
      if (isException(url)) return null;
      if (isLocalhost(host))
        return isAllowed('127.0.0.1') ? null : `${host} is not a public address${remedy}`;
      // Other names are checked when they are resolved.
      return isIP(host) && !isAllowed(host) ? `${host} is not a public address${remedy}` : null;
    },
    lookupFor: (url) => (_hostname, options, callback) => {
      const host = normalHost(url);
      resolveHost(host).then(
        (found) => {
          const { family } = options;
          const ofFamily =
            family === 4 || family === 6 ? found.filter((one) => one.family === family) : found;
          const allowed = isException(url) ? ofFamily : ofFamily.filter(({ address }) => isAllowed(address));
          const [first] = allowed;
          if (!first) callback(privateAddress(`${host} has no public address${remedy}`), []);
          else if (options.all) callback(null, allowed);
          else callback(null, first.address, first.family);
        },
        (error) => callback(error, []),
      );
    },
    async addressesOf(url, signal) {
      const host = normalHost(url);
      const found = await resolveHost(host, signal);
      const denied = isException(url) ? undefined : found.find(({ address }) => !isAllowed(address));
      if (denied)
        throw privateAddress(`${host} resolves to ${denied.address}, which is not a public address${remedy}`);
      return found;
    },
    get withoutExceptions() {
      return addressGuard([], { protocols, resolve });
    },
    isException: (url) => isException(url) || isWithin(networks, normalHost(url)),
    faultOfAddress: (url, address) =>
      isException(url) || isAllowed(address) ? null : `${address} is not a public address${remedy}`,
  };
}

/**
 * Returns the host as `http:` URLs normalize it: `0x7f.1` becomes 127.0.0.1. `URL` itself does not normalize the hosts of other schemes. Brackets and
 * trailing dots are removed; '' if the host is invalid.
 */
export function normalHost({ protocol, hostname }: URL): string {
  const isNormal = protocol === 'http:' || protocol === 'https:';
  const parsed = isNormal || !URL.canParse(`http://${hostname}/`) ? null : new URL(`http://${hostname}/`);
  const normal = isNormal ? hostname : (parsed?.hostname ?? '');
  return normal.replace(/^\[|\]$|\.+$/g, '');
}

const defaultPorts: Record<string, string> = { 'http:': '80', 'https:': '443', 'tls:': '443' };

const isLocalhost = (host: string) => /(^|\.)localhost$/.test(host);

const names = (protocols: readonly string[]) =>
  protocols.map((protocol) => protocol.slice(0, -1)).join(' nor ');

const privateAddress = (message: string) => Object.assign(new Error(message), { code: PRIVATE_ADDRESS });

/** Occupies one of the process's few threads until the system gives up, so use it only for rare calls. */
const resolveBySystem: ResolveName = (name) =>
  new Promise((resolve, reject) => {
    systemLookup(name, { all: true }, (error, found) => (error ? reject(error) : resolve(found)));
  });

function readExceptions(allowed: readonly string[]): { hosts: Set<string>; networks: BlockList } {
  const hosts = new Set<string>();
  const networks = new BlockList();
  for (const entry of allowed) {
    if (entry.includes('/')) {
      const [, network = '', prefix] = /^([^/]+)\/(\d+)$/.exec(entry) ?? [];
      // An empty prefix would allow the whole internet.
      if (isIP(network) === 0) throw new RangeError(`"${entry}" is not a network`);
      networks.addSubnet(network, Number(prefix), isIP(network) === 6 ? 'ipv6' : 'ipv4');
      continue;
    }
    const [, written = '', port] = /^(.*?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
    const host = URL.canParse(`http://${written}/`) ? normalHost(new URL(`http://${written}/`)) : '';
    if (host === '') throw new RangeError(`"${entry}" is neither a host nor a network`);
    hosts.add(port === undefined ? host : `${host} ${Number(port)}`);
  }
  return { hosts, networks };
}

const isWithin = (networks: BlockList, address: string) => {
  const family = isIP(address);
  return family !== 0 && networks.check(address, family === 6 ? 'ipv6' : 'ipv4');
};

/** Whether an IP address, without brackets, belongs to the public internet. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !special.check(address, 'ipv4');
  if (isIP(address) !== 6) return false;
  if (nat64.check(address, 'ipv6')) return isPublicAddress(embeddedAddress(address));
  return globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6');
}

/** Returns the IPv4 address to which the translator of a `nat64` address connects. */
function embeddedAddress(address: string): string {
  const groups = new URL(`http://[${address}]/`).hostname.slice('[64:ff9b::'.length, -1).split(':');
  const [high = 0, low = 0] = groups.map((part) => Number.parseInt(part || '0', 16)).slice(-2);
  const bytes =
    groups.length < 2 ? [0, 0, high >> 8, high & 255] : [high >> 8, high & 255, low >> 8, low & 255];
  return bytes.join('.');
}

// A network without IPv4 reaches all IPv4 addresses by this prefix. Source: RFC 6052.
const nat64 = new BlockList();
nat64.addSubnet('64:ff9b::', 96, 'ipv6');

// The rest of IPv6 is local, mapped from IPv4, multicast or unassigned.
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');

// Source: IANA's registries of special-purpose and of multicast addresses.
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
  // Azure's internal services, for machines inside Azure.
  ['168.63.129.16', 32],
] as const) {
  special.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [
  // Includes Teredo, which contains an IPv4 address, benchmarking and ORCHID.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4 also contains an IPv4 address.
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
] as const) {
  special.addSubnet(network, prefix, 'ipv6');
}
