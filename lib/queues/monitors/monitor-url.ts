import { storableText } from '../../http/input/storable-text.ts';
import { urlFormFault } from '../../http/input/url-form.ts';

export type MonitorKind = 'http' | 'https' | 'tcp' | 'tls';

/** Returns the kind of check, which is the URL's scheme. */
export function kindOf(url: string): MonitorKind {
  return url.slice(0, url.indexOf(':')) as MonitorKind;
}

/** A monitor's URL. Whether its address may be requested is a separate check: see `AddressCheck`. */
export const monitorUrl = storableText(2_000).superRefine((value, context) => {
  const fault = faultOf(value);
  if (fault) context.addIssue({ code: 'custom', message: fault });
});

function faultOf(value: string): string | null {
  if (!/^(https?|tcp|tls):\/\//.test(value)) return 'must begin with https://, http://, tcp:// or tls://';
  const fault = urlFormFault(value);
  if (fault !== null || /^http/.test(value)) return fault;
  const { hostname, port, pathname, search, hash } = new URL(value);
  const kind = kindOf(value);
  // The parser does not know these schemes and accepts any text as a host.
  if (hostname === '' || !URL.canParse(`http://${hostname}/`)) return 'has no host';
  if (!/^[\x21-\x7e]+$/.test(hostname) || hostname.includes('%')) {
    return 'has a host that is not ASCII: write its ASCII form, which begins with xn--';
  }
  if (kind === 'tcp' && port === '') return 'has no port: write for example tcp://db.example.com:5432';
  if (!/^\/?$/.test(pathname) || search || hash)
    return `has more than a host and a port: write for example ${kind}://example.com:443`;
  return null;
}
