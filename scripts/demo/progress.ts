import type { QueueStats } from '../../lib/store/stats';
import { countTwice } from './deliveries';
import type { DemoClient } from './demo-client';

const liveMs = 1_000;
const plainMs = 10_000;

/** What became of the rows since `before`, what the sandbox delivered, and why due rows wait: in 80 columns but for the last. */
export function progressLine(
  before: QueueStats,
  now: QueueStats,
  deliveries: { count: number; twice: number },
) {
  const since = (state: 'done' | 'unknown' | 'dead') =>
    `${now.states[state].approximate ? '~' : ''}${Math.max(0, now.states[state].count - before.states[state].count)}`;
  const reasons = now.waiting.filter(({ until }) => until !== null).map(({ reason }) => reason);
  return [
    `sent ${since('done')}`,
    `unknown ${since('unknown')}`,
    `failed ${since('dead')}`,
    `waiting ${now.states.pending.count + now.states.running.count}`,
    `sandbox: ${deliveries.count} delivered, ${deliveries.twice} twice`,
    ...new Set(reasons),
  ].join(' · ');
}

/** Shows the line until the returned function is called: in place on a terminal, else anew every ten seconds. */
export function showProgress(client: DemoClient, before: QueueStats, out: NodeJS.WriteStream): () => void {
  const startedAt = Date.now();
  let stopped = false;
  let timer: NodeJS.Timeout;

  async function show(): Promise<void> {
    const line = await client
      .stats()
      .then(async (stats) => {
        const deliveries = await client.deliveries();
        const twice = countTwice(deliveries);
        return progressLine(before, stats, { count: deliveries.length, twice });
      })
      .catch((error: Error) => `no figures: ${error.message.split('\n')[0]}`);
    if (stopped) return;
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    const text = `${String(seconds).padStart(4)} s  ${line}`;
    // A line longer than the terminal is wide would not be overwritten.
    if (out.isTTY) out.write(`\r\x1b[2K${text.slice(0, (out.columns || 80) - 1)}`);
    else out.write(`${text}\n`);
    timer = setTimeout(show, out.isTTY ? liveMs : plainMs);
  }

  void show();
  return () => {
    stopped = true;
    clearTimeout(timer);
    if (out.isTTY) out.write('\n');
  };
}
