import { faultNames } from './faults.ts';
import type { Figures, SimulationResult } from './run-simulation.ts';

/** One line for a seed that went well; for one that did not, what was broken and how to see it again. */
export function describeResult(
  { seed, days, violations, figures, hash }: SimulationResult,
  flags = '',
): string {
  const line = `seed ${seed}: ${figures.rows} rows, ${figures.ticks} ticks, ${figures.deliveries} deliveries, ${figures.seconds.toFixed(1)} s, ${hash}`;
  if (violations.length === 0) return `ok      ${line}`;
  const names = [...new Set(violations.map(({ invariant }) => invariant))];
  const details = names.flatMap((name) => {
    const own = violations.filter(({ invariant }) => invariant === name);
    return [
      `        ${name}: ${own.length} times`,
      ...own.slice(0, 5).map((one) => `          ${one.details}`),
    ];
  });
  return [
    `FAILED  ${line}`,
    ...details,
    `        again: npm run simulate -- --seed ${seed} --days ${days}${flags} --verbose`,
  ].join('\n');
}

/** From so many seeds on every fault has to have come. */
const seedsForAllFaults = 20;

/** The faults that never came in so many seeds that they had to: the simulation does not do what it says. */
export function missingFaults(results: SimulationResult[]): string[] {
  if (results.length < seedsForAllFaults) return [];
  return faultNames.filter((name) => results.every(({ figures }) => !figures.faults[name]));
}

export function describeAll(results: SimulationResult[], wallSeconds: number): string {
  const sum = (pick: (figures: Figures) => number) =>
    results.reduce((total, { figures }) => total + pick(figures), 0);
  const sums = (pick: (figures: Figures) => Record<string, number>) => {
    const total: Record<string, number> = {};
    for (const { figures } of results) {
      for (const [name, count] of Object.entries(pick(figures))) total[name] = (total[name] ?? 0) + count;
    }
    return Object.entries(total).sort(([, a], [, b]) => b - a);
  };
  const failed = results.filter(({ violations }) => violations.length > 0);
  const missing = missingFaults(results);
  const slowest = Math.max(...results.map(({ figures }) => figures.seconds));
  return [
    `${results.length} seeds, ${failed.length} failed${failed.length > 0 ? `: ${failed.map(({ seed }) => seed).join(', ')}` : ''}`,
    `rows ${sum((f) => f.rows)}, ticks ${sum((f) => f.ticks)}, of these killed ${sum((f) => f.kills)} and frozen ${sum((f) => f.freezes)}`,
    `answers of the database lost ${sum((f) => f.answersLost)}, webhooks ${sum((f) => f.webhooks)}, deliveries ${sum((f) => f.deliveries)}`,
    `enrolments: ${
      sums((f) => f.enrolments)
        .map(([phase, count]) => `${count} ${phase}`)
        .join(', ') || 'none'
    }`,
    `rows in the end: ${sums((f) => f.states)
      .map(([state, count]) => `${count} ${state}`)
      .join(', ')}`,
    `faults: ${sums((f) => f.faults)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}`,
    ...(missing.length > 0 ? [`FAULTS THAT NEVER CAME: ${missing.join(', ')}`] : []),
    'rows that were unknown, and how that ended:',
    ...sums((f) => f.unknowns).map(([end, count]) => `  ${count} ${end}`),
    `${wallSeconds.toFixed(0)} s; a seed took ${(sum((f) => f.seconds) / results.length).toFixed(1)} s, the slowest ${slowest.toFixed(1)} s`,
  ].join('\n');
}
