import { type LookupAddress, promises } from 'node:dns';
import type { ResolveName } from './public-address.ts';

/** For one question to one server, in milliseconds. If the servers do not respond, resolving fails after about twice that, or with the signal. */
const queryMs = 2_000;
/** How long IPv6 may take once IPv4 has a response, in milliseconds: some servers never respond for IPv6. IPv4 is always awaited. */
const ipv6Ms = 200;

/**
 * Returns a resolver that asks DNS servers directly, over sockets. Unlike with `dns.lookup`, a name that never resolves occupies none of the
 * process's few threads and ends with the signal. It ignores /etc/hosts and search domains. IPv4 comes first: functions on Vercel have no IPv6.
 *
 * `servers` are `ip` or `ip:port`; the system's by default.
 */
export function dnsResolver(servers: readonly string[] = []): ResolveName {
  return async (name, signal) => {
    signal?.throwIfAborted();
    // One resolver a name: `cancel` cancels all questions of a resolver.
    const resolver = new promises.Resolver({ timeout: queryMs, tries: 2 });
    if (servers.length > 0) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    let timer: NodeJS.Timeout | undefined;
    const limitIpv6 = <T>(addresses: T) => {
      timer ??= setTimeout(cancel, ipv6Ms);
      return addresses;
    };
    try {
      const families = await Promise.allSettled([
        resolver.resolve4(name).then(limitIpv6),
        resolver.resolve6(name),
      ]);
      signal?.throwIfAborted();
      const found = families.flatMap((result, index): LookupAddress[] =>
        result.status === 'rejected'
          ? []
          : result.value.map((address) => ({ address, family: index === 0 ? 4 : 6 })),
      );
      if (found.length > 0) return found;
      throw failureOf(families);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    }
  };
}

/** Returns the more telling of two errors: ENODATA only says that the name has no address of one family. */
function failureOf(families: PromiseSettledResult<unknown>[]): unknown {
  const reasons = families.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  return reasons.find(({ code }) => code !== 'ENODATA') ?? reasons[0];
}
