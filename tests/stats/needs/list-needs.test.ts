import { describe, expect, it } from 'vitest';
import { type ListedSchedule, listNeeds } from '../../../lib/stats/needs/list-needs.ts';
import type { Monitoring } from '../../../lib/store/monitoring.ts';
import type { Stats } from '../../../lib/store/stats.ts';
import type { ErrorGroup } from '../../../lib/store/story/error-group.ts';
import { errorGroup } from '../../dashboard/error-group.ts';
import { ago, lastTick, now, partition, queueStats } from '../../dashboard/queue-stats.ts';

const stats = (changes: Parameters<typeof queueStats>[0] = {}, more: Partial<Stats> = {}): Stats => ({
  now,
  queues: [queueStats(changes)],
  paused_accounts: [],
  providers: [],
  ...more,
});
const lines = (of: Stats, monitoring: unknown = null, schedules: unknown = null, groups?: ErrorGroup[]) =>
  listNeeds(
    of,
    monitoring as Monitoring | null,
    schedules as ListedSchedule[] | null,
    new Map(groups && [['dm_queue', groups]]),
  ).map(({ tone, queue, text, detail, href }) =>
    `${tone}: ${queue ?? ''} ${text}${detail ? ` (${detail})` : ''} → ${href}`.replace(':  ', ': '),
  );

const due = { due_now: { count: 3, approximate: false }, oldest_due_seconds: 4_000 };
const failing = 'set UNIPILE_DSN';
const account = { provider: 'unipile', account: 'a', name: 'Ada', said: 'restricted', until: null };
const words = { ...queueStats().words, dead: 'failed', unknown: 'unclear' };
const page = '/queues/dm_queue';

it.each<[label: string, changes: Parameters<typeof queueStats>[0], ...needs: string[]]>([
  ['nothing while rows are due and ticks come', due],
  [
    'rows that failed',
    { words, failed: { rows: 504, text: 'no such person' } },
    `bad: dm_queue 504 rows failed in the last 24 hours (no such person) → ${page}/errors`,
  ],
  [
    'one row that waits for a decision',
    { words, undecided: { rows: 1 } },
    `warn: dm_queue 1 row is unclear and waits for your decision → ${page}#needs-you`,
  ],
  [
    'rows that wait for a decision',
    { words, undecided: { rows: 2 } },
    `warn: dm_queue 2 rows are unclear and wait for your decision → ${page}#needs-you`,
  ],
  [
    'no unknown row that is still checked',
    { states: { ...queueStats().states, unknown: { count: 4, approximate: false } } },
  ],
  [
    'a pause with its reason',
    { paused_at: ago(60), paused_reason: 'holiday' },
    `warn: dm_queue The queue is paused (holiday) → ${page}`,
  ],
  [
    'a paused partition',
    { partitions: [partition('mail', { paused_at: ago(9), paused_reason: 'asked to' })] },
    `warn: dm_queue Its partition mail is paused (asked to) → ${page}#partitions`,
  ],
  [
    'ticks that fail, also if none ever came',
    { failing, last_tick: null },
    `warn: dm_queue Its ticks fail (${failing}) → ${page}`,
  ],
  [
    'ticks that fail while rows are due',
    { failing, ...due },
    `bad: dm_queue Its ticks fail (${failing}) → ${page}`,
  ],
  [
    'the fault of the last tick',
    { last_tick: lastTick({ fault: 'no words' }) },
    `warn: dm_queue Its ticks fail (no words) → ${page}`,
  ],
  [
    'rows that cannot be read',
    { problem: 'it is gone' },
    `bad: dm_queue Its rows cannot be read (it is gone) → ${page}`,
  ],
  [
    'an account that is refused',
    { refused: [account] },
    `bad: dm_queue unipile refuses the account Ada (restricted) → /accounts/a`,
  ],
  [
    'a provider that refuses all',
    { refused: [{ ...account, account: null, name: null }] },
    `bad: dm_queue unipile refuses every request (restricted) → ${page}#needs-you`,
  ],
  [
    'unreachable rows with their reason',
    { unreachable: [{ reason: 'no account', rows: 2 }] },
    `bad: dm_queue No tick can reach 2 rows (no account) → ${page}#held`,
  ],
  [
    'rows that were delivered twice, with the latest',
    { noted: [{ event: 'twice', rows: 1, row_id: '7', text: 'an earlier attempt' }] },
    `bad: dm_queue 1 row delivered twice in the last 24 hours (an earlier attempt) → ${page}/rows/7`,
  ],
  [
    'that no tick comes',
    { unticked: 'no tick for 12 min' },
    'bad: dm_queue Rows are due and no tick comes (no tick for 12 min) → /schedules',
  ],
])('Today names %s', (_label, changes, ...needs) => {
  expect(lines(stats(changes))).toEqual(needs);
});

describe('Today', () => {
  const schedule = {
    scheduler: 'pg-cron',
    path: '/api/cron/dm-queue',
    schedule: '* * * * *',
    lastSlot: ago(180),
  };
  const silent = [{ ...schedule, queues: ['dm_queue'], silent: true }];

  it('names a silent schedule once, and not also the queue that it leaves without ticks', () => {
    expect(lines(stats({ unticked: 'no tick for 12 min' }), null, silent)).toEqual([
      'bad: pg-cron no longer calls /api/cron/dm-queue (Two of its slots have passed without a call.) → /schedules',
    ]);
    expect(lines(stats(), null, [{ ...schedule, queues: [], silent: false }])).toEqual([]);
  });

  it('gives open incidents one line with the first names', () => {
    const open = ['Shop', 'Fax', 'Booking', 'Mail'].map((monitor, n) => ({
      monitor,
      cause: 'HTTP 500',
      started_at: ago(60 * n),
    }));
    const incidents = (some: typeof open) => lines(stats(), { incidents: { open: some } });
    expect(incidents(open)).toEqual([
      'bad: 4 monitors are down (Shop, Fax, Booking, 1 more) → /monitors#open-incidents',
    ]);
    expect(incidents(open.slice(0, 1))).toEqual([
      'bad: 1 monitor is down (Shop: HTTP 500) → /monitors#open-incidents',
    ]);
  });

  it('puts what is wrong before what waits, and that before what ends by itself', () => {
    const paused = { id: '1', name: 'Ola', provider: 'unipile', reason: null };
    const more = {
      paused_accounts: [
        { ...paused, until: ago(-60) },
        { ...paused, id: '2', name: 'Mira', until: null },
      ],
      providers: [{ name: 'whatsapp_cloud', paused_until: ago(-30), last_error: 'HTTP 500' }],
    };
    const tones = lines(stats({ unreachable: [{ reason: 'no account', rows: 2 }] }, more)).map(
      (line) => line.split(':')[0],
    );
    expect(tones).toEqual(['bad', 'warn', 'wait', 'wait']);
  });
});

describe('failed rows on Today', () => {
  const failed = stats({ words, failed: { rows: 504, text: 'no such person' } });
  const known = errorGroup({ id: '0000000a', state: 'known', rows_dead: 500, text: 'the list is old' });
  const fresh = errorGroup({ id: '0000000b', rows_dead: 4, text: 'timed out' });

  it('have a line for each new error, which leads to it', () => {
    const other = errorGroup({ id: '0000000c', rows_dead: 500, text: 'no such person' });
    expect(lines(failed, null, null, [fresh, other])).toEqual([
      `bad: dm_queue 4 rows failed (timed out) → ${page}/errors/0000000b`,
      `bad: dm_queue 500 rows failed (no such person) → ${page}/errors/0000000c`,
    ]);
  });

  it('need nobody if a person marked their error as known', () => {
    expect(lines(failed, null, null, [{ ...known, rows_dead: 504 }])).toEqual([]);
    expect(lines(failed, null, null, [known, fresh])).toEqual([
      `bad: dm_queue 4 rows failed (timed out) → ${page}/errors/0000000b`,
    ]);
  });

  it('are never hidden: those that no recent error explains keep a line', () => {
    expect(lines(failed, null, null, [known])).toEqual([
      `bad: dm_queue 4 other rows failed in the last 24 hours → ${page}/errors`,
    ]);
    expect(lines(failed, null, null, [{ ...fresh, state: 'gone', rows_dead: 900 }])).toEqual([
      `bad: dm_queue 504 rows failed in the last 24 hours (no such person) → ${page}/errors`,
    ]);
  });

  it('say how many errors have no line of their own', () => {
    const groups = Array.from({ length: 7 }, (_, n) => errorGroup({ id: `0000000${n}`, rows_dead: 72 }));
    expect(lines(failed, null, null, groups).at(-1)).toBe(
      `bad: dm_queue Rows failed with 2 more errors → ${page}/errors`,
    );
  });
});

describe('the key of a line', () => {
  const keysOf = (of: Stats, groups: ErrorGroup[] = []) =>
    listNeeds(of, null, null, new Map([['dm_queue', groups]])).map(({ key, count, parts }) => [
      key,
      count,
      parts,
    ]);

  it('stays the same while its count changes', () => {
    const waiting = (rows: number) => stats({ undecided: { rows }, failed: { rows } });
    expect(keysOf(waiting(2))).toEqual([
      ['dm_queue.failed', 2, []],
      ['dm_queue.undecided', 2, []],
    ]);
    expect(keysOf(waiting(9)).map(([key]) => key)).toEqual(['dm_queue.failed', 'dm_queue.undecided']);
  });

  it('names the error of its rows, so a new error is a new line', () => {
    const groups = Array.from({ length: 7 }, (_, n) => errorGroup({ id: `0000000${n}`, rows_dead: 3 }));
    const lines = keysOf(stats({ failed: { rows: 21 } }), groups);
    expect(lines[0]).toEqual(['dm_queue.error.00000000', 3, []]);
    expect(lines.at(-1)).toEqual(['dm_queue.errors', 2, ['00000005', '00000006']]);
  });

  it('is about one pause: another one is something new', () => {
    expect(keysOf(stats({ paused_at: ago(60) }))).toEqual([['dm_queue.paused', 1, [ago(60)]]]);
  });

  it('has only characters that an address needs not encode', () => {
    const all = keysOf(
      stats({
        unreachable: [{ reason: 'no account: "Ä/ö"', rows: 2 }],
        refused: [{ ...account, account: null, name: null }],
        partitions: [partition('a/b', { paused_at: ago(9), paused_reason: null })],
      }),
    );
    for (const [key] of all) expect(key).toMatch(/^[\w.-]+$/);
    expect(all).toHaveLength(3);
  });
});
