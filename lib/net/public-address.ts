import { lookup as askSystem, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/**
 * Keeps addresses that a user gave from reaching what only this server can reach: itself, its network, the metadata service of its
 * cloud.
 */
export interface AddressGuard {
  /** Why the address must not be asked, as far as it says so itself; null where it may. Ask again for every redirect. */
  refusal(url: URL): string | null;
  /**
   * For `http.request`: resolves the name, and hands on public addresses only, so that the one connected to is the one that was checked.
   * Fails with `code` PRIVATE_ADDRESS where there is none.
   */
  lookupFor(url: URL): LookupFunction;
  /** What the host resolves to. Rejects with `code` PRIVATE_ADDRESS where any of it is private, and with the resolver's own errors. */
  addressesOf(url: URL, signal: AbortSignal): Promise<LookupAddress[]>;
  /** The same, with nothing allowed but what is public. */
  readonly withoutExceptions: AddressGuard;
  /** Why a connection for `url` must not be used that leads to `address`; null where it may. */
  refusalOfAddress(url: URL, address: string): string | null;
}

/** All addresses of a name; rejects with a `code` (`ENOTFOUND`, …) where it has none. Never asked for what is an address already. */
export type ResolveName = (name: string, signal?: AbortSignal) => Promise<LookupAddress[]>;

export const PRIVATE_ADDRESS = 'PRIVATE_ADDRESS';

/**
 * `allowed` are the exceptions: `host` or `host:port` for addresses that name it so, and `10.0.0.0/8` for whatever leads to one of the
 * network; `variable` is where an operator names them, which errors say. Throws a RangeError for what is neither.
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
  const mayLeadTo = (address: string) => isPublicAddress(address) || isWithin(networks, address);
  const remedy = variable ? `: if it is yours, add it to ${variable} and restart` : '';
  const resolveHost = async (host: string, signal?: AbortSignal): Promise<LookupAddress[]> => {
    // What the name means is no question for a server: RFC 6761.
    const literal = isLocalhost(host) ? '127.0.0.1' : host;
    const family = isIP(literal);
    return family === 0 ? resolve(host, signal) : [{ address: literal, family }];
  };

  return {
    refusal(url) {
      if (!protocols.includes(url.protocol)) return `it is neither ${names(protocols)}`;
      if (url.username || url.password) return 'it has credentials in it';
      const host = normalHost(url);
      if (host === '') return 'it has no valid host';
      if (isException(url)) return null;
      if (isLocalhost(host)) return mayLeadTo('127.0.0.1') ? null : `${host} is no public address${remedy}`;
      // Any other name is judged by what it resolves to.
      return isIP(host) && !mayLeadTo(host) ? `${host} is no public address${remedy}` : null;
    },
    lookupFor: (url) => (_hostname, options, callback) => {
      const host = normalHost(url);
      resolveHost(host).then(
        (found) => {
          const { family } = options;
          const fitting = family === 4 || family === 6 ? found.filter((one) => one.family === family) : found;
          const open = isException(url) ? fitting : fitting.filter(({ address }) => mayLeadTo(address));
          const [first] = open;
          if (!first) callback(privateAddress(`${host} has no public address${remedy}`), []);
          else if (options.all) callback(null, open);
          else callback(null, first.address, first.family);
        },
        (error) => callback(error, []),
      );
    },
    async addressesOf(url, signal) {
      const host = normalHost(url);
      const found = await resolveHost(host, signal);
      const closed = isException(url) ? undefined : found.find(({ address }) => !mayLeadTo(address));
      if (closed)
        throw privateAddress(`${host} leads to ${closed.address}, which is no public address${remedy}`);
      return found;
    },
    get withoutExceptions() {
      return addressGuard([], { protocols, resolve });
    },
    refusalOfAddress: (url, address) =>
      isException(url) || mayLeadTo(address) ? null : `${address} is no public address${remedy}`,
  };
}

/**
 * The host as `http:` URLs have it, whatever the scheme: `0x7f.1` is 127.0.0.1. Without brackets and trailing dots; '' where it is none.
 * A URL of another scheme keeps the host as it was written.
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

/** Occupies one of the process's few threads until the system gives up: only for what is asked seldom. */
const resolveBySystem: ResolveName = (name) =>
  new Promise((resolve, reject) => {
    askSystem(name, { all: true }, (error, found) => (error ? reject(error) : resolve(found)));
  });

function readExceptions(allowed: readonly string[]): { hosts: Set<string>; networks: BlockList } {
  const hosts = new Set<string>();
  const networks = new BlockList();
  for (const entry of allowed) {
    if (entry.includes('/')) {
      const [, network = '', prefix] = /^([^/]+)\/(\d+)$/.exec(entry) ?? [];
      // An empty prefix would be all of the internet.
      if (isIP(network) === 0) throw new RangeError(`"${entry}" is no network`);
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

/** Whether the address, in plain notation, is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !special.check(address, 'ipv4');
  if (isIP(address) !== 6) return false;
  if (nat64.check(address, 'ipv6')) return isPublicAddress(embeddedAddress(address));
  return globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6');
}

/** Of an address of `nat64`: the IPv4 address that its translator connects to. */
function embeddedAddress(address: string): string {
  const last = new URL(`http://[${address}]/`).hostname.slice('[64:ff9b::'.length, -1).split(':');
  const [high = 0, low = 0] = last.map((part) => Number.parseInt(part || '0', 16)).slice(-2);
  const bytes =
    last.length < 2 ? [0, 0, high >> 8, high & 255] : [high >> 8, high & 255, low >> 8, low & 255];
  return bytes.join('.');
}

// On a network without IPv4 it is how all of it is reached. Source: RFC 6052.
const nat64 = new BlockList();
nat64.addSubnet('64:ff9b::', 96, 'ipv6');

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
