import type { Services } from '../lib/services/services';

const everyMs = 60_000;
const timeoutMs = 10_000;

export interface HeartbeatOptions {
  /** Whoever has it can say that the worker is well: it is logged by its host alone. */
  url: string;
  isWell(): boolean;
  clock: Services['ports']['clock'];
  log: Services['log'];
}

/**
 * Asks for `url` by GET at once and then each minute, for as long as the worker is well. A service that expects these calls (healthchecks.io,
 * Better Stack, Cronitor) tells somebody when they stop, also where the machine is gone and can tell nobody. Answers how to end it.
 */
export function startHeartbeat({ url, isWell, clock, log }: HeartbeatOptions): () => void {
  const { host } = new URL(url);
  let isHeard = true;
  let cancel = () => {};

  async function beat(): Promise<void> {
    cancel = clock.timer(everyMs, () => void beat());
    if (!isWell()) return;
    const why = await ask(url);
    // Once, and not each minute for a night.
    if (why !== null && isHeard) log.warn({ host, why }, 'the heartbeat is not heard');
    isHeard = why === null;
  }

  void beat();
  return () => cancel();
}

/** Why it came to nothing; null if it did not. */
async function ask(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
    return response.ok ? null : `it answered ${response.status}`;
  } catch (error) {
    // What fetch says may have the address in it.
    const { code, name } = ((error as Error).cause ?? error) as { code?: string; name: string };
    return code ?? name;
  }
}
