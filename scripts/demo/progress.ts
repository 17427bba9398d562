import type { QueueStats } from '../../lib/store/stats.ts';
import type { WatchedSequence } from './check-sequence.ts';
import { countTwice } from './deliveries.ts';
import type { DemoClient } from './demo-client.ts';
import { SequenceWatch } from './sequence-watch.ts';
import { watchLine } from './watch-line.ts';

const liveMs = 1_000;
const plainMs = 10_000;

/** Returns the outcomes since `before`, the double deliveries, and the reasons why due rows wait. Without the reasons, it fits into 80 columns. */
export function progressLine(before: QueueStats[], now: QueueStats[], twice: number): string {
  const since = (state: 'done' | 'unknown' | 'dead', queue?: string) => {
    const of = (queues: QueueStats[]) =>
      queues.filter(({ name }) => queue === undefined || name === queue).map(({ states }) => states[state]);
    const rows = of(now).reduce((sum, { count }) => sum + count, 0);
    const mark = of(now).some(({ approximate }) => approximate) ? '~' : '';
    return `${mark}${Math.max(0, rows - of(before).reduce((sum, { count }) => sum + count, 0))}`;
  };
  // A monitor always waits for its next check, and sequences have a line of their own.
  const finite = now.filter(({ name }) => name !== 'monitors' && name !== 'enrolments');
  const wait = finite.reduce((sum, { states }) => sum + states.pending.count + states.running.count, 0);
  const reasons = now.flatMap(({ waiting }) => waiting).filter(({ until }) => until !== null);
  return [
    `${since('done', 'dm_queue')} sent, ${since('done', 'posts')} published, ${since('done', 'jobs')} jobs`,
    `${since('unknown')} unknown, ${since('dead')} failed`,
    `${twice} sent twice`,
    `${wait} wait`,
    ...new Set(reasons.map(({ reason }) => reason)),
  ].join(' · ');
}

const clearBelow = '\r\x1b[J';

/**
 * Shows three lines until it is stopped: the rows, the sequences, and the monitors. On a terminal it updates them in place each second; otherwise it
 * prints them every 10 s. `checks` returns the number of checks so far. `say` prints a text above the lines.
 */
export function showProgress(
  client: DemoClient,
  before: QueueStats[],
  watched: WatchedSequence[],
  checks: () => number,
  out: NodeJS.WriteStream,
): { say: (text: string) => void; stop: () => void } {
  const startedAt = Date.now();
  const sequences = new SequenceWatch(client, watched, say);
  let stopped = false;
  let timer: NodeJS.Timeout;

  async function lines(): Promise<string[]> {
    const [stats, deliveries, incidents] = [
      await client.stats(),
      await client.deliveries(),
      await client.incidentsSince(startedAt),
    ];
    return [
      progressLine(before, stats, countTwice(deliveries)),
      await sequences.line(),
      watchLine({ checks: checks(), ...incidents }),
    ];
  }

  async function show(): Promise<void> {
    const [first = '', ...others] = await lines().catch((error: Error) => [
      `no figures: ${error.message.split('\n')[0]}`,
    ]);
    if (stopped) return;
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    const texts = [`${String(seconds).padStart(3)} s  ${first}`, ...others.map((other) => `       ${other}`)];
    if (out.isTTY) {
      // A line that is wider than the terminal could not be overwritten. The cursor stays in the first line.
      const fitting = texts.map((text) => text.slice(0, (out.columns || 80) - 1));
      out.write(`${clearBelow}${fitting.join('\n')}${'\x1b[A'.repeat(fitting.length - 1)}\r`);
    } else out.write(`${texts.join('\n')}\n`);
    timer = setTimeout(show, out.isTTY ? liveMs : plainMs);
  }

  function say(text: string): void {
    if (!stopped) out.write(`${out.isTTY ? clearBelow : ''}${text}\n`);
  }

  void show();
  return {
    say,
    stop() {
      stopped = true;
      clearTimeout(timer);
      if (out.isTTY) out.write('\n\n');
    },
  };
}
