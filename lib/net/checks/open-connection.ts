import type { LookupAddress } from 'node:dns';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { type AddressGuard, normalHost } from '../public-address.ts';
import { describeCertificateFault, FailedCheckError } from './failed-check.ts';
import type { Trace } from './run-check.ts';

export interface ConnectOptions {
  guard: AddressGuard;
  /** A PEM certificate authority to trust instead of Node's. */
  ca?: string;
}

/** The most addresses to try. Each attempt starts `nextAddressMs` after the previous one (RFC 8305). */
const maxAddresses = 6;
const nextAddressMs = 250;

/**
 * Connects to an address that the guard has checked. Resolves the name once, so no other address can replace it. Rejects, and leaves nothing open, if
 * the guard denies an address, no address accepts the connection, or the signal fires. The caller destroys the socket. Later errors of the socket
 * only close it.
 */
export async function openTcp(
  url: URL,
  port: number,
  { guard }: ConnectOptions,
  trace: Trace,
  signal: AbortSignal,
): Promise<Socket> {
  trace.address = null;
  const urlFault = guard.faultOf(url);
  if (urlFault !== null) throw new FailedCheckError(urlFault);
  const isName = isIP(normalHost(url)) === 0;
  if (isName) trace.enter('dns');
  const addresses = await guard.addressesOf(url, signal);
  trace.enter('connect');
  const socket = await connectFirst(addresses.slice(0, maxAddresses), port, signal);
  // Undefined if the socket is closed already.
  const address = socket.remoteAddress ?? null;
  trace.address = address;
  const addressFault =
    address === null ? 'it closed the connection immediately' : guard.faultOfAddress(url, address);
  if (addressFault !== null) {
    socket.destroy();
    throw new FailedCheckError(addressFault);
  }
  return socket;
}

/** Does the TLS handshake and checks the certificate before any data is sent. Owns the socket: destroys it if the promise rejects. */
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
      // Servers of other protocols reject an unknown one.
      ALPNProtocols: url.protocol === 'https:' ? ['http/1.1'] : undefined,
      // `onSecure` checks the certificate once its expiry is read.
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
    const onClose = () => fail(new FailedCheckError('it closed the connection during the TLS handshake'));
    const onSecure = () => {
      const expiresAt = expiryOf(secure);
      trace.certificateExpiresAt = earlier(trace.certificateExpiresAt, expiresAt);
      if (!secure.authorized) {
        const { authorizationError: why } = secure as { authorizationError?: unknown };
        const code = String((why as Error | undefined)?.message ?? why ?? 'unknown');
        trace.enter(null);
        return fail(new FailedCheckError(describeCertificateFault(code, expiresAt)));
      }
      trace.enter(null);
      settle(() => resolve(secure));
    };
    // The error listener stays, because a later unhandled error would end the process.
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

/** Returns the first connection and closes the others. Rejects with the first error if all fail. */
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
      // Stays, because an unhandled error would end the process.
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
