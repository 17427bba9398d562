import { median } from '../../due-dms.ts';
import type { Entries } from '../contenders/all-contenders.ts';
import type { Idle } from '../contenders/contender.ts';
import type { Scenario } from './scenario.ts';

const titles = {
  ms: ['ms', 'Idle: the time of a tick without a due job'],
  calls: ['calls', 'Idle: the calls to the database of such a tick'],
  commands: ['commands', 'Idle: the Redis commands of such a tick'],
} as const;

/** A tick that finds nothing to do: its time, its calls to the database, or its Redis commands. Most ticks are idle. */
export function idle(entries: Entries, { of, settled = 0 }: { of: keyof Idle; settled?: number }): Scenario {
  const [unit, title] = titles[of];
  return {
    name: `idle-${of}`,
    title,
    unit,
    isRate: false,
    entries: (of === 'ms' ? [0, settled] : [0]).map((rows) =>
      entries.punctualIdle({ name: `Punctual, ${of}, settled: ${rows}`, settled: rows }),
    ),
    async measure(contender) {
      const figures: number[] = [];
      for (let n = 0; n < 20; n++) figures.push((await contender.idle?.())?.[of] ?? Number.NaN);
      return median(figures);
    },
  };
}
