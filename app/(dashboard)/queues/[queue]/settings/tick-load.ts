import type { QueueSettings } from '@/lib/operate/queue-settings.ts';
import type { LedgerTick } from '@/lib/store/ticks.ts';

type Settings = QueueSettings['settings'];

/** How the latest ticks went. */
export interface TickLoad {
  /** How long a handler takes, in milliseconds: the median of the ticks' medians. Null if none ran rows. */
  rowMs: number | null;
  /** How long a tick may work, in milliseconds. */
  budgetMs: number;
  /** From one call of a scheduler to the next, in milliseconds: the median. */
  everyMs: number;
}

const defaultBudgetMs = 45_000;
const defaultEveryMs = 60_000;

/** Returns the settings that a partition's ticks obey: its own, and the queue's where it has none. */
export function settingsInForce(queue: Settings, own: Record<string, unknown>): Settings {
  return { ...queue, ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null)) };
}

/** Measures ticks of one partition, the latest first. */
export function measureTicks(ticks: Pick<LedgerTick, 'continuation' | 'started_at' | 'report'>[]): TickLoad {
  const calls = ticks.filter(({ continuation }) => continuation === 0);
  const gaps = calls
    .slice(1)
    .map(({ started_at }, n) => Date.parse(calls[n]?.started_at ?? '') - Date.parse(started_at));
  return {
    rowMs: median(ticks.map(({ report }) => (report?.performMs as { p50?: number | null } | null)?.p50)),
    budgetMs: median(ticks.map(({ report }) => report?.budgetMs)) ?? defaultBudgetMs,
    everyMs: median(gaps) ?? defaultEveryMs,
  };
}

/** Returns how many rows a minute the settings allow while enough rows are due, rounded to two digits; null if no tick has run rows yet. */
export function rowsAMinute(settings: Settings, { rowMs, budgetMs, everyMs }: TickLoad): number | null {
  if (rowMs === null || settings.adaptive) return null;
  const { batch_limit, concurrency, budget_seconds, max_continuations } = settings;
  const workMs = budget_seconds === null ? budgetMs : Math.min(budgetMs, budget_seconds * 1_000);
  // A row of under a millisecond does not make a tick endless.
  const atOnceMs = Math.max(1, rowMs);
  const rowsInTime = concurrency * Math.max(1, Math.floor(workMs / atOnceMs));
  const rowsOfTick = Math.min(batch_limit ?? rowsInTime, rowsInTime);
  const tickMs = Math.ceil(rowsOfTick / concurrency) * atOnceMs;
  // While rows are left, the next tick starts at once, until the continuations of a call are used up.
  const ticksAMinute = Math.min(60_000 / tickMs, ((1 + max_continuations) * 60_000) / everyMs);
  return roundToTwoDigits(rowsOfTick * ticksAMinute);
}

/** Says what the settings of a tick mean at today's load. */
export function speedInWords(settings: Settings, load: TickLoad): string {
  const { batch_limit, concurrency, adaptive } = settings;
  if (adaptive) return 'Rows a tick and rows at once follow the backlog.';
  const rows = batch_limit === null ? 'As many rows as fit into a tick' : `${batch_limit} rows a tick`;
  const atOnce = `${rows}, ${concurrency} at once`;
  const speed = rowsAMinute(settings, load);
  if (speed === null) return `${atOnce}. No tick has run rows lately, so nobody knows how many a minute.`;
  const took = `a row takes ${milliseconds(load.rowMs ?? 0)}`;
  return `${atOnce}: about ${speed.toLocaleString('en-US')} a minute while enough are due, because ${took}. Accounts’ limits may allow fewer.`;
}

function milliseconds(ms: number): string {
  if (ms < 1) return 'under 1 ms';
  return ms < 1_000 ? `about ${Math.round(ms)} ms` : `about ${(ms / 1_000).toFixed(1)} s`;
}

function median(values: unknown[]): number | null {
  const numbers = values.filter((value): value is number => typeof value === 'number').sort((a, b) => a - b);
  return numbers[Math.floor(numbers.length / 2)] ?? null;
}

function roundToTwoDigits(value: number): number {
  return value < 10 ? Math.max(1, Math.round(value)) : Number(value.toPrecision(2));
}
