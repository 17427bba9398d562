import { networkCode } from './network-error';
import { type AddressGuard, PRIVATE_ADDRESS } from './public-address';

/**
 * Why what the user gave must not be monitored, for a person; null where it may. A name is resolved, and refused where it leads to any
 * private address now; one that does not resolve is none: it is looked at again at each check. The signal bounds the look.
 */
export async function refusalOf(
  address: string,
  guard: AddressGuard,
  signal: AbortSignal,
): Promise<string | null> {
  if (!URL.canParse(address)) return 'it is no valid URL';
  const url = new URL(address);
  const refusal = guard.refusal(url) ?? refusalOfForm(url);
  if (refusal !== null) return refusal;
  try {
    await guard.addressesOf(url, signal);
    return null;
  } catch (error) {
    return networkCode(error) === PRIVATE_ADDRESS ? (error as Error).message : null;
  }
}

function refusalOfForm({ protocol, port, pathname, search, hash }: URL): string | null {
  if (protocol !== 'tcp:' && protocol !== 'tls:') return null;
  if (protocol === 'tcp:' && port === '') return 'it has no port';
  if (port === '0') return 'it has no port that can be connected to';
  const isBare = (pathname === '' || pathname === '/') && search === '' && hash === '';
  return isBare ? null : `it has more than a host and a port in it`;
}
