import { storableText } from '../../http/input/storable-text.ts';

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
  // Parsers drop or correct these characters in different ways. The URL that is validated must be the URL that is requested.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern finds control characters
  if (/[\u0000-\u0020\u007f\\]/.test(value))
    return 'contains white space, a control character or a backslash';
  if (!URL.canParse(value)) return 'is not a valid URL';
  const { username, password, hostname, port, pathname, search, hash } = new URL(value);
  if (username || password) {
    return 'contains credentials: send them in a header instead, for example authorization';
  }
  if (port === '0') return 'has port 0, on which no server can listen';
  if (/^http/.test(value)) return null;
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
