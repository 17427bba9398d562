import { describe, expect, it } from 'vitest';
import { partitionTroubles, queueTroubles } from '../../components/troubles.ts';
import { ago, ledgerTick, partition, queueStats } from '../dashboard/queue-stats.ts';

const due = { count: 3, approximate: false };
const texts = (changes: Parameters<typeof queueStats>[0]) =>
  queueTroubles(queueStats(changes)).map(({ text }) => text);

describe('queueTroubles', () => {
  it('returns nothing while rows are due and ticks come', () => {
    expect(texts({ due_now: due, oldest_due_seconds: 4_000 })).toEqual([]);
  });

  it('names a pause, with its reason if there is one', () => {
    expect(texts({ paused_at: ago(60), paused_reason: 'holiday' })).toEqual(['paused: holiday']);
    expect(texts({ paused_at: ago(60) })).toEqual(['paused']);
  });

  it('says that ticks fail, whether the queue ever ticked or not, instead of a missing scheduler', () => {
    const failing = 'no provider can send messages: set UNIPILE_DSN';
    const troubles = (changes: Parameters<typeof queueStats>[0]) => queueTroubles(queueStats(changes));
    const text = `ticks fail: ${failing}`;
    expect(troubles({ failing, ticks: [] })).toEqual([{ tone: 'warn', text }]);
    expect(troubles({ failing, ticks: [], due_now: due, oldest_due_seconds: 700 })).toEqual([
      { tone: 'bad', text },
    ]);
    const ticks = [ledgerTick({ report: { fault: 'it is at-most-once in the code' } }), ledgerTick()];
    expect(texts({ ticks })).toEqual(['ticks fail: it is at-most-once in the code']);
    expect(texts({ ticks: ticks.reverse() })).toEqual([]);
  });

  it('says that its rows cannot be read', () => {
    expect(texts({ problem: 'public.trials cannot be read' })).toEqual(['public.trials cannot be read']);
  });

  it('counts the unknown rows in the queue’s own word, with a link to them', () => {
    const queue = queueStats({ name: 'trials' });
    queue.states.unknown = { count: 1_200, approximate: false };
    queue.words.unknown = 'unclear';
    expect(queueTroubles(queue)).toEqual([
      { tone: 'warn', text: '1,200 unclear, may need your decision', href: '#needs-you-trials' },
    ]);
  });

  it('counts the accounts that a provider refuses, with a link to them', () => {
    const account = { provider: 'unipile', account: 'a', name: 'Ada', said: 'restricted', until: null };
    const href = '#needs-you-dm_queue';
    const troubles = (refused: (typeof account | { account: null; name: null })[]) =>
      queueTroubles(queueStats({ refused: refused.map((one) => ({ ...account, ...one })) }));
    expect(troubles([account])).toEqual([{ tone: 'bad', text: '1 account is refused', href }]);
    expect(troubles([account, account])).toEqual([{ tone: 'bad', text: '2 accounts are refused', href }]);
    expect(troubles([{ account: null, name: null }, account])).toEqual([
      { tone: 'bad', text: 'unipile refuses every request', href },
    ]);
  });

  it('counts the unreachable rows, with the reason if there is only one', () => {
    const unreachable = [{ reason: 'no account', rows: 2 }];
    expect(texts({ unreachable })).toEqual(['2 unreachable: no account']);
    expect(texts({ unreachable: [...unreachable, { reason: 'due is null', rows: 40 }] })).toEqual([
      '42 unreachable, for 2 reasons',
    ]);
  });

  it('counts the rows that were delivered twice or met an error, with a link to the latest', () => {
    const queue = queueStats({
      name: 'dms',
      noted: [
        { event: 'twice', rows: 1, row_id: '7', text: 'an earlier attempt was delivered as well' },
        { event: 'error', rows: 1_200, row_id: null, text: 'app.fail failed: no' },
      ],
    });
    expect(queueTroubles(queue)).toEqual([
      { tone: 'bad', text: '1 delivered twice', href: '#why-dms-7' },
      { tone: 'warn', text: '1,200 with an error: app.fail failed: no' },
    ]);
  });

  it('says that no scheduler ticks the queue', () => {
    const unticked = 'nothing ticks it: 3 rows are due. Have a scheduler call /api/cron/dm-queue.';
    expect(queueTroubles(queueStats({ unticked }))).toEqual([{ tone: 'bad', text: unticked }]);
  });
});

describe('partitionTroubles', () => {
  it('names a pause', () => {
    expect(partitionTroubles(partition('mail', { paused_at: ago(9), paused_reason: 'asked to' }))).toEqual([
      { tone: 'warn', text: 'paused: asked to' },
    ]);
  });

  it('names the row that blocks it while other rows wait behind', () => {
    const blocked = partition('blocking', { waiting: 'row 4 failed, will be retried, and goes first' });
    expect(partitionTroubles({ ...blocked, due: 2 })).toEqual([
      { tone: 'wait', text: 'blocked: row 4 failed, will be retried, and goes first' },
    ]);
    expect(partitionTroubles(blocked)).toEqual([]);
  });
});
