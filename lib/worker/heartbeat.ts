import type { Services } from '../services/services.ts';

const intervalMs = 60_000;
const timeoutMs = 10_000;

export interface HeartbeatOptions {
  /** A secret, because anyone who has it can report that the worker is well. Only its host is logged. */
  url: string;
  isWell(): boolean;
  clock: Services['ports']['clock'];
  log: Services['log'];
}

/**
 * Requests `url` with GET at once and then each minute, while the worker is well. A service that expects these requests (healthchecks.io, Better
 * Stack, Cronitor) alerts you when they stop, even if the whole machine is gone. Returns a function that ends the heartbeat.
 */
export function startHeartbeat({ url, isWell, clock, log }: HeartbeatOptions): () => void {
  const { host } = new URL(url);
  let hasFailed = false;
  let cancel = () => {};

  async function beat(): Promise<void> {
    cancel = clock.timer(intervalMs, () => void beat());
    if (!isWell()) return;
    const why = await request(url);
    // Logged once, not each minute of an outage.
    if (why !== null && !hasFailed) log.warn({ host, why }, 'the heartbeat request failed');
    hasFailed = why !== null;
  }

  void beat();
  return () => cancel();
}

/** Returns why the request failed; null if it succeeded. */
async function request(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
    return response.ok ? null : `the service responded with ${response.status}`;
  } catch (error) {
    // The message of fetch may contain the address.
    const { code, name } = ((error as Error).cause ?? error) as { code?: string; name: string };
    return code ?? name;
  }
}
