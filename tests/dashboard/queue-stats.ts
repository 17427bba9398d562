import { noCounts } from '../../lib/engine/tick-report.ts';
import type { QueueStats } from '../../lib/store/stats.ts';
import type { LedgerTick } from '../../lib/store/ticks.ts';

/** The instant at which the tests' figures were read. */
export const now = '2026-03-02T12:00:00.000Z';
export const nowMs = Date.parse(now);
export const ago = (seconds: number) => new Date(nowMs - seconds * 1_000).toISOString();

type Partition = QueueStats['partitions'][number];

const none = { count: 0, approximate: false };

/** An empty queue whose last tick was five seconds ago. */
export function queueStats(changes: Partial<QueueStats> = {}): QueueStats {
  return {
    name: 'dm_queue',
    delivery: 'at-most-once',
    paused_at: null,
    paused_until: null,
    paused_reason: null,
    problem: null,
    failing: null,
    unticked: null,
    words: {
      pending: 'pending',
      running: 'sending',
      done: 'sent',
      dead: 'failed',
      unknown: 'unknown',
      cancelled: 'cancelled',
    },
    states: { pending: none, running: none, done: none, dead: none, unknown: none, cancelled: none },
    due_now: none,
    oldest_due_seconds: null,
    next_due_seconds: null,
    waiting: [],
    refused: [],
    unreachable: [],
    noted: [],
    setup: null,
    settings: { batch_limit: 30, concurrency: 5, budget_seconds: null, adaptive: false },
    partitions: [],
    failed: { rows: 0 },
    undecided: { rows: 0 },
    throughput: [],
    day: [],
    last_tick: lastTick(),
    ...changes,
  };
}

export function partition(name: string, changes: Partial<Partition> = {}): Partition {
  return {
    name,
    due: 0,
    oldest_due_seconds: null,
    max_running: null,
    paused_at: null,
    paused_until: null,
    paused_reason: null,
    last_tick_at: ago(5),
    waiting: null,
    ...changes,
  };
}

type LastTick = NonNullable<QueueStats['last_tick']>;

export function lastTick(changes: Partial<LastTick> = {}): LastTick {
  const { id, partition, started_at, closed_at, outcome, continuation, duplicate } = ledgerTick();
  return {
    id,
    partition,
    started_at,
    closed_at,
    outcome,
    continuation,
    duplicate,
    fault: null,
    ...changes,
  };
}

export function ledgerTick(changes: Partial<LedgerTick> = {}): LedgerTick {
  return {
    id: 'e7b6a1a2-0000-4000-8000-000000000000',
    queue: 'dm_queue',
    partition: 'main',
    scheduler: 'local',
    path: null,
    schedule: null,
    slot: null,
    continuation: 0,
    run_id: 'e7b6a1a2-0000-4000-8000-000000000000',
    started_at: ago(5),
    closed_at: ago(2),
    deadline_at: ago(-55),
    outcome: 'ran',
    duplicate: false,
    ...noCounts,
    asked_for: null,
    report: null,
    ...changes,
  };
}
