import { type LookupAddress, promises } from 'node:dns';
import type { ResolveName } from './public-address';

/** Per question and server; a name whose servers are silent ends after about twice that, or with the signal. */
const tryMs = 2_000;
/** Once there is an answer for IPv4, IPv6 gets so much longer: some servers never answer for it. IPv4 is waited for. */
const ipv6Ms = 200;

/**
 * Asks DNS servers itself, by their own sockets: unlike `dns.lookup`, a name that never resolves holds none of the process's few
 * threads, and ends with the signal. Knows nothing of /etc/hosts and search domains. IPv4 comes first: functions on Vercel have no IPv6.
 *
 * `servers`: `ip` or `ip:port`; none: the system's.
 */
export function dnsResolver(servers: readonly string[] = []): ResolveName {
  return async (name, signal) => {
    signal?.throwIfAborted();
    // One for each name, so that its questions can be taken back without those of others.
    const resolver = new promises.Resolver({ timeout: tryMs, tries: 2 });
    if (servers.length > 0) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    let timer: NodeJS.Timeout | undefined;
    const hurryOther = <T>(addresses: T) => {
      timer ??= setTimeout(cancel, ipv6Ms);
      return addresses;
    };
    try {
      const families = await Promise.allSettled([
        resolver.resolve4(name).then(hurryOther),
        resolver.resolve6(name),
      ]);
      signal?.throwIfAborted();
      const found = families.flatMap((answer, index): LookupAddress[] =>
        answer.status === 'rejected'
          ? []
          : answer.value.map((address) => ({ address, family: index === 0 ? 4 : 6 })),
      );
      if (found.length > 0) return found;
      throw failureOf(families);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    }
  };
}

/** That it has no address of one family says less than what became of the other. */
function failureOf(families: PromiseSettledResult<unknown>[]): unknown {
  const reasons = families.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
  return reasons.find(({ code }) => code !== 'ENODATA') ?? reasons[0];
}
