import type { QueueStats } from '../../lib/store/stats';
import { countTwice } from './deliveries';
import type { DemoClient } from './demo-client';

const liveMs = 1_000;
const plainMs = 10_000;

/** What became of the rows since `before`, how often the sandbox delivered one twice, and why due rows wait: the first part in 80 columns. */
export function progressLine(before: QueueStats[], now: QueueStats[], twice: number): string {
  const since = (state: 'done' | 'unknown' | 'dead', queue?: string) => {
    const of = (queues: QueueStats[]) =>
      queues.filter(({ name }) => queue === undefined || name === queue).map(({ states }) => states[state]);
    const rows = of(now).reduce((sum, { count }) => sum + count, 0);
    const mark = of(now).some(({ approximate }) => approximate) ? '~' : '';
    return `${mark}${Math.max(0, rows - of(before).reduce((sum, { count }) => sum + count, 0))}`;
  };
  const wait = now.reduce((sum, { states }) => sum + states.pending.count + states.running.count, 0);
  const reasons = now.flatMap(({ waiting }) => waiting).filter(({ until }) => until !== null);
  return [
    `${since('done', 'dm_queue')} sent, ${since('done', 'posts')} published, ${since('done', 'jobs')} jobs`,
    `${since('unknown')} unknown, ${since('dead')} failed`,
    `${twice} sent twice`,
    `${wait} wait`,
    ...new Set(reasons.map(({ reason }) => reason)),
  ].join(' · ');
}

/** Shows the line until it is stopped: in place on a terminal, else anew every ten seconds. `say` puts something else above it. */
export function showProgress(
  client: DemoClient,
  before: QueueStats[],
  out: NodeJS.WriteStream,
): { say: (text: string) => void; stop: () => void } {
  const startedAt = Date.now();
  let stopped = false;
  let timer: NodeJS.Timeout;

  async function show(): Promise<void> {
    const line = await client
      .stats()
      .then(async (stats) => progressLine(before, stats, countTwice(await client.deliveries())))
      .catch((error: Error) => `no figures: ${error.message.split('\n')[0]}`);
    if (stopped) return;
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    const text = `${String(seconds).padStart(3)} s  ${line}`;
    // A line longer than the terminal is wide would not be overwritten.
    if (out.isTTY) out.write(`\r\x1b[2K${text.slice(0, (out.columns || 80) - 1)}`);
    else out.write(`${text}\n`);
    timer = setTimeout(show, out.isTTY ? liveMs : plainMs);
  }

  void show();
  return {
    say(text) {
      if (!stopped) out.write(`${out.isTTY ? '\r\x1b[2K' : ''}${text}\n`);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      if (out.isTTY) out.write('\n');
    },
  };
}
