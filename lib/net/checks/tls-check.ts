import { describeExpiry } from './certificate-expiry.ts';
import { type ConnectOptions, openTcp, openTls } from './open-connection.ts';
import { type CheckLimits, type CheckResult, runCheck } from './run-check.ts';

/** Checks the certificate of `tls://host:port` and when it expires. The port is 443 by default. Never rejects. */
export function tlsCheck(
  { url: address, certificateDays, ...limits }: CheckLimits & { url: string; certificateDays: number | null },
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<CheckResult> {
  return runCheck(limits, signal, async (trace, inTime) => {
    const url = new URL(address);
    const socket = await openTcp(url, Number(url.port || 443), options, trace, inTime);
    const secure = await openTls(url, socket, options, trace, inTime);
    // Ends the connection after our last message of the handshake. Otherwise the server counts a failed handshake.
    secure.destroySoon();
    return describeExpiry(trace.certificateExpiresAt, certificateDays);
  });
}
