import { describe, expect, it } from 'vitest';
import { partitionTroubles, queueTroubles } from '../../components/troubles.ts';
import { ago, ledgerTick, partition, queueStats } from '../dashboard/queue-stats.ts';

const empty = queueStats();
const due = { due_now: { count: 3, approximate: false }, oldest_due_seconds: 4_000 };
const failing = 'set UNIPILE_DSN';
const failed = ledgerTick({ report: { fault: 'at-most-once in the code' } });
const unknown = {
  states: { ...empty.states, unknown: { count: 1_200, approximate: false } },
  words: { ...empty.words, unknown: 'unclear' },
};
const account = { provider: 'unipile', account: 'a', name: 'Ada', said: 'restricted', until: null };
const everyAccount = { ...account, account: null, name: null };
const unreachable = [{ reason: 'no account', rows: 2 }];
const isNull = { reason: 'due is null', rows: 40 };
const twice = {
  event: 'twice' as const,
  rows: 1,
  row_id: '7',
  text: 'an earlier attempt was delivered as well',
};
const error = { event: 'error' as const, rows: 1_200, row_id: null, text: 'app.fail failed: no' };
const unticked = 'nothing ticks it: 3 rows are due. Have a scheduler call /api/cron/dm-queue.';

it.each<[label: string, changes: Parameters<typeof queueStats>[0], ...troubles: string[]]>([
  ['nothing while rows are due and ticks come', due],
  ['a pause with its reason', { paused_at: ago(60), paused_reason: 'holiday' }, 'warn: paused: holiday'],
  ['a pause', { paused_at: ago(60) }, 'warn: paused'],
  ['ticks that fail, also if none ever came', { failing, ticks: [] }, 'warn: ticks fail: set UNIPILE_DSN'],
  ['ticks that fail while rows are due', { failing, ...due }, 'bad: ticks fail: set UNIPILE_DSN'],
  [
    'the fault of the last tick',
    { ticks: [failed, ledgerTick()] },
    'warn: ticks fail: at-most-once in the code',
  ],
  ['no fault of an earlier tick', { ticks: [ledgerTick(), failed] }],
  ['rows that cannot be read', { problem: 'it cannot be read' }, 'bad: it cannot be read → #queue-dm_queue'],
  [
    'unknown rows in its own word',
    unknown,
    'warn: 1,200 unclear, may need your decision → #needs-you-dm_queue',
  ],
  ['an account that is refused', { refused: [account] }, 'bad: 1 account is refused → #needs-you-dm_queue'],
  ['those that are', { refused: [account, account] }, 'bad: 2 accounts are refused → #needs-you-dm_queue'],
  [
    'a provider that refuses all',
    { refused: [everyAccount, account] },
    'bad: unipile refuses every request → #needs-you-dm_queue',
  ],
  ['unreachable rows with their reason', { unreachable }, 'bad: 2 unreachable: no account → #queue-dm_queue'],
  [
    'several reasons',
    { unreachable: [...unreachable, isNull] },
    'bad: 42 unreachable, for 2 reasons → #queue-dm_queue',
  ],
  [
    'rows that were delivered twice, with the latest',
    { noted: [twice] },
    'bad: 1 delivered twice → #why-dm_queue-7',
  ],
  ['rows with an error', { noted: [error] }, 'warn: 1,200 with an error: app.fail failed: no'],
  ['that no scheduler ticks the queue', { unticked }, `bad: ${unticked}`],
])('queueTroubles names %s', (_label, changes, ...troubles) => {
  const found = queueTroubles(queueStats(changes));
  const lines = found.map(({ tone, text, href }) => `${tone}: ${text}${href ? ` → ${href}` : ''}`);
  expect(lines).toEqual(troubles);
});

describe('partitionTroubles', () => {
  it('names a pause', () => {
    expect(partitionTroubles(partition('mail', { paused_at: ago(9), paused_reason: 'asked to' }))).toEqual([
      { tone: 'warn', text: 'paused: asked to' },
    ]);
  });

  it('names the row that blocks it while other rows wait behind', () => {
    const waiting = 'row 4 failed, will be retried, and goes first';
    const blocked = partition('blocking', { waiting });
    expect(partitionTroubles({ ...blocked, due: 2 })).toEqual([
      { tone: 'wait', text: `blocked: ${waiting}` },
    ]);
    expect(partitionTroubles(blocked)).toEqual([]);
  });
});
