import { networkCode } from './network-error.ts';
import { type AddressGuard, PRIVATE_ADDRESS } from './public-address.ts';

/**
 * Returns why a user's URL must not be requested, for a person; null if it may. A host name is resolved and refused if any of its addresses is
 * private now. A name that does not resolve is accepted, because each request resolves it again. The signal ends the resolution.
 */
export async function findUrlFault(
  text: string,
  guard: AddressGuard,
  signal: AbortSignal,
): Promise<string | null> {
  if (!URL.canParse(text)) return 'it is not a valid URL';
  const url = new URL(text);
  const fault = guard.faultOf(url) ?? formFault(url);
  if (fault !== null) return fault;
  try {
    await guard.addressesOf(url, signal);
    return null;
  } catch (error) {
    return networkCode(error) === PRIVATE_ADDRESS ? (error as Error).message : null;
  }
}

function formFault({ protocol, port, pathname, search, hash }: URL): string | null {
  if (protocol !== 'tcp:' && protocol !== 'tls:') return null;
  if (protocol === 'tcp:' && port === '') return 'it has no port';
  if (port === '0') return 'its port is 0, which cannot be connected to';
  const hasOnlyHost = (pathname === '' || pathname === '/') && search === '' && hash === '';
  return hasOnlyHost ? null : 'it has more than a host and a port';
}
