import { storableText } from '../../http/input/storable-text';

export type MonitorKind = 'http' | 'https' | 'tcp' | 'tls';

/** The scheme says what kind of check it is. */
export function kindOf(url: string): MonitorKind {
  return url.slice(0, url.indexOf(':')) as MonitorKind;
}

/** The address of a monitor. Where it leads is looked at apart: see `AddressCheck`. */
export const monitorUrl = storableText(2_000).superRefine((value, context) => {
  const fault = faultOf(value);
  if (fault) context.addIssue({ code: 'custom', message: fault });
});

function faultOf(value: string): string | null {
  if (!/^(https?|tcp|tls):\/\//.test(value))
    return 'begins with none of https://, http://, tcp:// and tls://';
  // Parsers drop or mend these, each in its own way: what is checked must be what is asked.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u0020\u007f\\]/.test(value)) return 'contains a blank, a control character or a backslash';
  if (!URL.canParse(value)) return 'is no address';
  const { username, password, hostname, port, pathname, search, hash } = new URL(value);
  if (username || password) {
    return 'has credentials in it: send them in a header instead, such as authorization';
  }
  if (port === '0') return 'has the port 0, which nobody listens on';
  if (/^http/.test(value)) return null;
  const kind = kindOf(value);
  // These schemes are unknown to the parser, which then takes any text for a host.
  if (hostname === '' || !URL.canParse(`http://${hostname}/`)) return 'names no host';
  if (!/^[\x21-\x7e]+$/.test(hostname) || hostname.includes('%')) {
    return 'has a host with other than plain letters: write its ASCII form, which begins with xn--';
  }
  if (kind === 'tcp' && port === '') return 'names no port, as in tcp://db.example.com:5432';
  if (!/^\/?$/.test(pathname) || search || hash)
    return `has more than a host and a port, as in ${kind}://example.com:443`;
  return null;
}
