import type { Load, LoadResult, Setting } from './run-load.ts';

export interface Run {
  load: Load;
  setting: Setting;
  result: LoadResult;
}

/** A table in Markdown of how long the ticks take that drain each backlog: `15 s + 10 s`. */
export function tableOfDrains(runs: Run[]): string[] {
  const backlogs = [...new Set(runs.map(({ load }) => load.backlog))];
  const settings = [...new Set(runs.map(({ setting }) => setting))];
  return [
    row(['batch limit', 'concurrency', ...backlogs.map((count) => `${count} due`)]),
    `|${'---|'.repeat(2 + backlogs.length)}`,
    ...settings.map((setting) => {
      const drains = runs.filter((run) => run.setting === setting).map(({ result }) => drain(result));
      return row([setting.batchLimit, setting.concurrency, ...drains]);
    }),
  ];
}

/** A table in Markdown of all figures. */
export function tableOfResults(runs: Run[]): string[] {
  return [
    row([
      'batch limit',
      'concurrency',
      'due',
      'done',
      'drained after',
      'late (p95)',
      'out of time',
      'throttled',
      'calls',
      'function time',
    ]),
    `|${'---|'.repeat(10)}`,
    ...runs.map(({ load, setting, result }) =>
      row([
        setting.batchLimit,
        setting.concurrency,
        load.backlog,
        result.done,
        result.drainedAfterMs === null ? 'not drained' : seconds(result.drainedAfterMs),
        result.lateMs === null ? '–' : seconds(result.lateMs),
        result.outOfTime,
        result.throttled,
        result.calls,
        seconds(result.functionMs),
      ]),
    ),
  ];
}

function drain({ drainMs, drainedAfterMs }: LoadResult): string {
  if (drainedAfterMs === null) return 'not drained';
  return drainMs.length === 0 ? '0 s' : drainMs.map(seconds).join(' + ');
}

const seconds = (ms: number) => `${Number((ms / 1_000).toFixed(1))} s`;

const row = (cells: (string | number)[]) => `| ${cells.join(' | ')} |`;
