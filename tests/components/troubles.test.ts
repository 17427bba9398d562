import { describe, expect, it } from 'vitest';
import { partitionTroubles, queueTroubles } from '../../components/troubles.ts';
import { ago, ledgerTick, partition, queueStats } from '../dashboard/queue-stats.ts';

const due = { count: 3, approximate: false };
const texts = (changes: Parameters<typeof queueStats>[0]) =>
  queueTroubles(queueStats(changes)).map(({ text }) => text);

describe('what is wrong with a queue', () => {
  it('is nothing where rows are due and ticks come', () => {
    expect(texts({ due_now: due, oldest_due_seconds: 4_000 })).toEqual([]);
  });

  it('is that it is paused, with the reason where one was given', () => {
    expect(texts({ paused_at: ago(60), paused_reason: 'holiday' })).toEqual(['paused: holiday']);
    expect(texts({ paused_at: ago(60) })).toEqual(['paused']);
  });

  it('is that its ticks fail, whether it ever ticked or not, and not that no scheduler calls', () => {
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

  it('is that its rows cannot be read', () => {
    expect(texts({ problem: 'public.trials cannot be read' })).toEqual(['public.trials cannot be read']);
  });

  it('is what waits for a person, in the queue’s own word, and leads to it', () => {
    const queue = queueStats({ name: 'trials' });
    queue.states.unknown = { count: 1_200, approximate: false };
    queue.words.unknown = 'unclear';
    expect(queueTroubles(queue)).toEqual([
      { tone: 'warn', text: '1,200 unclear, may need your decision', href: '#needs-you-trials' },
    ]);
  });

  it('is what a provider refuses, and leads to it', () => {
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

  it('is what no tick can reach: the reason, or how many there are', () => {
    const unreachable = [{ reason: 'no account', rows: 2 }];
    expect(texts({ unreachable })).toEqual(['2 unreachable: no account']);
    expect(texts({ unreachable: [...unreachable, { reason: 'due is null', rows: 40 }] })).toEqual([
      '42 unreachable, for 2 reasons',
    ]);
  });

  it('is what was delivered twice, or met an error, and leads to the latest row', () => {
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

  it('is that nothing ticks it', () => {
    const unticked = 'nothing ticks it: 3 rows are due. Have a scheduler call /api/cron/dm-queue.';
    expect(queueTroubles(queueStats({ unticked }))).toEqual([{ tone: 'bad', text: unticked }]);
  });
});

describe('what is wrong with a partition', () => {
  it('is that somebody paused it', () => {
    expect(partitionTroubles(partition('mail', { paused_at: ago(9), paused_reason: 'asked to' }))).toEqual([
      { tone: 'warn', text: 'paused: asked to' },
    ]);
  });

  it('is what blocks it, as long as rows wait behind that', () => {
    const blocked = partition('blocking', { waiting: 'row 4 failed, is tried again, and goes first' });
    expect(partitionTroubles({ ...blocked, due: 2 })).toEqual([
      { tone: 'wait', text: 'blocked: row 4 failed, is tried again, and goes first' },
    ]);
    expect(partitionTroubles(blocked)).toEqual([]);
  });
});
