import type { Entries } from '../contenders/all-contenders.ts';
import type { Scenario } from './scenario.ts';

/** The cost of a row in a tick of few rows and of many: Node's processor time, or the highest heap. */
export function growth(
  entries: Entries,
  { few, many, of }: { few: number; many: number; of: 'processor' | 'heap' },
): Scenario {
  const isHeap = of === 'heap';
  const entry = (rows: number) =>
    entries.punctual('direct', {
      name: `Punctual, ${of}, rows: ${rows}`,
      delivery: 'at-least-once',
      concurrency: 500,
      ticks: 1,
    });
  return {
    name: of,
    title: isHeap
      ? 'Memory: the highest heap of one tick'
      : 'Growth: Node’s processor time a row of one tick',
    unit: isHeap ? 'MB' : 'µs a row',
    isRate: false,
    entries: [entry(few), entry(many)],
    async measure(contender) {
      const rows = Number(/\d+$/.exec(contender.name)?.[0]);
      // A small tick is repeated, because the clock of the processor is coarse.
      const times = isHeap ? 1 : Math.max(1, Math.round(many / rows / 10));
      const heap = watchHeap();
      let micros = 0;
      for (let n = 0; n < times; n++) {
        await contender.enqueue(rows);
        const before = process.cpuUsage();
        await contender.drain(rows, () => {});
        const { user, system } = process.cpuUsage(before);
        micros += user + system;
      }
      const highest = heap.stop();
      return isHeap ? highest / 1e6 : micros / (times * rows);
    },
  };
}

function watchHeap(): { stop(): number } {
  globalThis.gc?.();
  let highest = 0;
  const look = () => {
    highest = Math.max(highest, process.memoryUsage().heapUsed);
  };
  const timer = setInterval(look, 5);
  return {
    stop() {
      clearInterval(timer);
      look();
      return highest;
    },
  };
}
