import type { LookupAddress } from 'node:dns';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type AddressGuard, normalHost } from '../public-address';
import { FailedCheckError, tellCertificate } from './failed-check';
import type { Trace } from './run-check';

export interface ConnectOptions {
  guard: AddressGuard;
  /** Trusted in the place of what Node trusts. PEM. */
  ca?: string;
}

/** Addresses that are tried, one after the other, so long after the one before: RFC 8305. */
const mostAddresses = 6;
const nextAddressMs = 250;

/**
 * Connects to one of the addresses that were checked, and to no other: names are looked up once. Rejects, and leaves nothing open, where
 * an address is refused, none answers, or the signal fires. The socket is the caller's to destroy; errors it has later are only shown by
 * its end.
 */
export async function openTcp(
  url: URL,
  port: number,
  { guard }: ConnectOptions,
  trace: Trace,
  signal: AbortSignal,
): Promise<Socket> {
  trace.address = null;
  const refusal = guard.refusal(url);
  if (refusal !== null) throw new FailedCheckError(refusal);
  // An address needs no looking up.
  const isName = isIP(normalHost(url)) === 0;
  if (isName) trace.enter('dns');
  const addresses = await guard.addressesOf(url, signal);
  trace.enter('connect');
  const socket = await connectFirst(addresses.slice(0, mostAddresses), port, signal);
  // Undefined where it is closed already.
  const address = socket.remoteAddress ?? null;
  trace.address = address;
  const wrong = address === null ? 'it closed the connection at once' : guard.refusalOfAddress(url, address);
  if (wrong !== null) {
    socket.destroy();
    throw new FailedCheckError(wrong);
  }
  return socket;
}

/** Agrees on TLS and judges the certificate, before anything is said. Takes the socket over: destroys it where it rejects. */
export function openTls(
  url: URL,
  socket: Socket,
  { ca }: ConnectOptions,
  trace: Trace,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const host = normalHost(url);
  trace.enter('tls');
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      host,
      servername: isIP(host) ? '' : host,
      ca,
      // Servers of other protocols refuse one that they do not know.
      ALPNProtocols: url.protocol === 'https:' ? ['http/1.1'] : undefined,
      // It is judged below, when it has been read.
      rejectUnauthorized: false,
    });
    const settle = (act: () => void) => {
      signal.removeEventListener('abort', onAbort);
      secure.off('secureConnect', onSecure).off('close', onClose);
      act();
    };
    const fail = (error: unknown) =>
      settle(() => {
        secure.destroy();
        socket.destroy();
        reject(error);
      });
    const onAbort = () => fail(signal.reason);
    const onClose = () => fail(new FailedCheckError('it closed the connection while agreeing on TLS'));
    const onSecure = () => {
      const expiresAt = expiryOf(secure);
      trace.certificateExpiresAt = earlier(trace.certificateExpiresAt, expiresAt);
      if (!secure.authorized) {
        const { authorizationError: why } = secure as { authorizationError?: unknown };
        const code = String((why as Error | undefined)?.message ?? why ?? 'unknown');
        trace.enter(null);
        return fail(new FailedCheckError(tellCertificate(code, expiresAt)));
      }
      trace.enter(null);
      settle(() => resolve(secure));
    };
    // Stays, so that no later error of the socket goes unheard.
    secure.on('error', fail).once('secureConnect', onSecure).once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

function expiryOf(secure: TLSSocket): string | null {
  const { valid_to: validTo } = secure.getPeerCertificate() ?? {};
  const at = new Date(validTo ?? '');
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}

const earlier = (a: string | null, b: string | null) =>
  a !== null && b !== null ? (a < b ? a : b) : (a ?? b);

/** The first that answers; the others are closed. Rejects with the first error of all. */
function connectFirst(addresses: LookupAddress[], port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const attempts = new Set<Socket>();
    const waiting = [...addresses];
    let timer: NodeJS.Timeout | undefined;
    let firstError: unknown = null;
    let settled = false;

    const settle = (winner: Socket | null, error: unknown) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      for (const socket of attempts) if (socket !== winner) socket.destroy();
      if (winner) resolve(winner);
      else reject(error);
    };
    const onAbort = () => settle(null, signal.reason);
    const tryNext = () => {
      clearTimeout(timer);
      const next = waiting.shift();
      if (!next) {
        if (attempts.size === 0) settle(null, firstError ?? new FailedCheckError('its name has no address'));
        return;
      }
      const socket = connectTcp({ host: next.address, port, family: next.family, noDelay: true });
      attempts.add(socket);
      // Stays for good: an error that nobody hears would end the process.
      socket.on('error', (error) => {
        firstError ??= error;
        attempts.delete(socket);
        if (!settled) tryNext();
      });
      socket.once('connect', () => settle(socket, null));
      timer = setTimeout(tryNext, nextAddressMs);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    else tryNext();
  });
}
