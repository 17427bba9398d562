import { tellExpiry } from './certificate-expiry';
import { type ConnectOptions, openTcp, openTls } from './open-connection';
import { type CheckLimits, type CheckResult, runCheck } from './run-check';

/** Whether `tls://host:port` has a certificate that is valid, for how long yet. Port 443 if absent. Never rejects. */
export function tlsCheck(
  { url: address, certificateDays, ...limits }: CheckLimits & { url: string; certificateDays: number | null },
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<CheckResult> {
  return runCheck(limits, signal, async (trace, inTime) => {
    const url = new URL(address);
    const socket = await openTcp(url, Number(url.port || 443), options, trace, inTime);
    const secure = await openTls(url, socket, options, trace, inTime);
    // After our last word of the handshake, or the server takes it for one that failed.
    secure.destroySoon();
    return tellExpiry(trace.certificateExpiresAt, certificateDays);
  });
}
