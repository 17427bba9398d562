import { type ConnectOptions, openTcp } from './open-connection.ts';
import { type CheckLimits, type CheckResult, runCheck } from './run-check.ts';

/** Checks that `tcp://host:port` accepts connections. Never rejects. */
export function tcpCheck(
  { url: address, ...limits }: CheckLimits & { url: string },
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<CheckResult> {
  return runCheck(limits, signal, async (trace, inTime) => {
    const url = new URL(address);
    const socket = await openTcp(url, Number(url.port), options, trace, inTime);
    trace.enter(null);
    socket.destroy();
    return null;
  });
}
