import { describe, expect, it } from 'vitest';
import {
  measureTicks,
  rowsAMinute,
  settingsInForce,
  speedInWords,
} from '../../../../../app/(dashboard)/queues/[queue]/settings/tick-load.ts';
import type { QueueSettings } from '../../../../../lib/operate/queue-settings.ts';
import { ago, ledgerTick } from '../../../queue-stats.ts';

const settings: QueueSettings['settings'] = {
  batch_limit: 30,
  concurrency: 5,
  adaptive: false,
  budget_seconds: null,
  max_ticks: 1,
  timeout_seconds: 15,
  max_continuations: 10,
  lease_seconds: 90,
  max_attempts: 5,
  backoff_base_seconds: 30,
  backoff_cap_seconds: 3_600,
  retention_days: 30,
};
const load = { rowMs: 1_000, budgetMs: 45_000, everyMs: 60_000 };
const tick = (seconds: number, p50: number | null, continuation = 0) =>
  ledgerTick({
    started_at: ago(seconds),
    continuation,
    report: { performMs: { p50, p95: null }, budgetMs: 45_000 },
  });

describe('rows a minute', () => {
  it('follow from how long a row takes and how many run at once, while continuations fill the minute', () => {
    // 30 rows in 6 s, ten times a minute.
    expect(rowsAMinute(settings, load)).toBe(300);
    // The call and its ten continuations, then the wait for the next call.
    expect(rowsAMinute({ ...settings, concurrency: 10 }, load)).toBe(330);
  });

  it('are those of one tick for each call without continuations', () => {
    expect(rowsAMinute({ ...settings, max_continuations: 0 }, load)).toBe(30);
    expect(rowsAMinute({ ...settings, max_continuations: 0 }, { ...load, everyMs: 10_000 })).toBe(180);
  });

  it('fit into the time that a tick has', () => {
    const slow = { ...load, rowMs: 20_000 };
    // Two rounds of five fit into 45 s.
    expect(rowsAMinute({ ...settings, max_continuations: 0 }, slow)).toBe(10);
    expect(rowsAMinute({ ...settings, batch_limit: null, max_continuations: 0 }, slow)).toBe(10);
    expect(rowsAMinute({ ...settings, budget_seconds: 20, max_continuations: 0 }, slow)).toBe(5);
  });

  it('are not known before a tick has run rows, or if the settings follow the backlog', () => {
    expect(rowsAMinute(settings, { ...load, rowMs: null })).toBeNull();
    expect(rowsAMinute({ ...settings, adaptive: true }, load)).toBeNull();
  });
});

it('the latest ticks say how long a row takes and how often a scheduler calls', () => {
  const ticks = [tick(10, 400), tick(20, 900), tick(65, 500, 1), tick(70, 600), tick(130, null)];
  expect(measureTicks(ticks)).toEqual({ rowMs: 600, budgetMs: 45_000, everyMs: 50_000 });
  expect(measureTicks([])).toEqual({ rowMs: null, budgetMs: 45_000, everyMs: 60_000 });
});

it('a partition obeys its own settings, and the queue’s where it has none', () => {
  const own = { concurrency: 2, batch_limit: null, max_running: 1 };
  expect(settingsInForce(settings, own)).toMatchObject({ concurrency: 2, batch_limit: 30 });
});

it('the settings are said with what they mean', () => {
  expect(speedInWords(settings, load)).toBe(
    '30 rows a tick, 5 at once: about 300 a minute while enough are due, because a row takes about 1.0 s. Accounts’ limits may allow fewer.',
  );
  expect(speedInWords(settings, { ...load, rowMs: null })).toContain('nobody knows how many a minute');
});
