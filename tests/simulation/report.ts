import { faultNames } from './faults.ts';
import type { Figures, SimulationResult } from './run-simulation.ts';

/** Returns one line for a seed that passed. For one that failed, also its violations and the command that repeats it. */
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
    `        repeat: npm run simulate -- --seed ${seed} --days ${days}${flags} --verbose`,
  ].join('\n');
}

/** A run of this many seeds or more must contain every fault. */
const seedsForAllFaults = 20;

/** Returns the faults that never occurred in a run that is long enough to contain them all. */
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
    `rows ${sum((f) => f.rows)}, ticks ${sum((f) => f.ticks)} (${sum((f) => f.kills)} killed, ${sum((f) => f.freezes)} frozen)`,
    `database responses lost ${sum((f) => f.responsesLost)}, webhooks ${sum((f) => f.webhooks)}, deliveries ${sum((f) => f.deliveries)}`,
    `enrolments: ${
      sums((f) => f.enrolments)
        .map(([phase, count]) => `${count} ${phase}`)
        .join(', ') || 'none'
    }`,
    `rows at the end: ${sums((f) => f.states)
      .map(([state, count]) => `${count} ${state}`)
      .join(', ')}`,
    `faults: ${sums((f) => f.faults)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ')}`,
    ...(missing.length > 0 ? [`FAULTS THAT NEVER OCCURRED: ${missing.join(', ')}`] : []),
    'rows that stopped being unknown, by outcome and reason:',
    ...sums((f) => f.unknowns).map(([end, count]) => `  ${count} ${end}`),
    `${wallSeconds.toFixed(0)} s; a seed took ${(sum((f) => f.seconds) / results.length).toFixed(1)} s, the slowest ${slowest.toFixed(1)} s`,
  ].join('\n');
}
