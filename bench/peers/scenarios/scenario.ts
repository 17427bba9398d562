import { median } from '../../due-dms.ts';
import type { Entry } from '../contenders/all-contenders.ts';
import type { Contender } from '../contenders/contender.ts';

/** One measurement: what is measured, in which unit, and for whom. */
export interface Scenario {
  name: string;
  title: string;
  unit: string;
  /** Whether a larger figure is better. */
  isRate: boolean;
  entries: Entry[];
  /** Measures once, in `unit`. */
  measure(contender: Contender): Promise<number>;
}

export interface Result {
  name: string;
  guarantees: string;
  /** The rounds' figures, in their order. */
  figures: number[];
  median: number;
  /** Node's processor time over all rounds, in seconds. */
  nodeSeconds: number;
}

/**
 * Measures all contenders of a scenario in turn, round after round, so that a slow moment of the machine affects each of them. A first round warms up
 * and does not count.
 */
export async function run(scenario: Scenario, rounds: number): Promise<Result[]> {
  const results: (Result & { contender: Contender })[] = [];
  for (const { name, make } of scenario.entries) {
    const contender = await make();
    results.push({
      name,
      guarantees: contender.guarantees,
      figures: [],
      median: 0,
      nodeSeconds: 0,
      contender,
    });
  }
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const result of results) {
        const before = process.cpuUsage();
        const figure = await scenario.measure(result.contender);
        const { user, system } = process.cpuUsage(before);
        if (round === 0) continue;
        result.figures.push(figure);
        result.nodeSeconds += (user + system) / 1e6;
      }
    }
  } finally {
    for (const { contender } of results) await contender.close();
  }
  return results.map(({ contender: _, ...result }) => ({ ...result, median: median(result.figures) }));
}
