import { Cron } from 'croner';
import { describe, expect, it } from 'vitest';
import { coverageOf } from '../../../lib/cron/slots/schedule-coverage.ts';
import { maxInstants, scheduleInstants } from '../../../lib/cron/slots/schedule-instants.ts';
import { accountOfSlots } from '../../../lib/cron/slots/slot-account.ts';
import { type SlotEntry, slotEntriesSchema } from '../../../lib/store/slots.ts';

const now = '2026-03-02T12:00:30Z';
const nowMs = Date.parse(now);
const at = (slot: string) => {
  const [time = ''] = slot.split(' ');
  return Date.parse(time.includes('T') ? time : `2026-03-02T${time}Z`);
};

/**
 * An entry as `read_slots` returns it. Each slot is a time of day, the delay of the first delivery in seconds, the number of deliveries, and `no`
 * if none of them ran a tick: `11:57:00 2 2 no`.
 */
function entry(slots: string[], changes: Record<string, unknown> = {}): SlotEntry {
  const [parsed] = slotEntriesSchema.parse([
    {
      scheduler: 'pg-cron',
      path: '/api/cron/dm-queue',
      schedule: '* * * * *',
      queues: ['dm_queue'],
      first_slot: new Date(at(slots[0] ?? '11:00:00')).toISOString(),
      last_slot: new Date(at(slots.at(-1) ?? '11:00:00')).toISOString(),
      slots: slots.map((slot) => {
        const [, late = '1', deliveries = '1', ran] = slot.split(' ');
        return [at(slot) / 1_000, Number(late), Number(deliveries), ran !== 'no'];
      }),
      ...changes,
    },
  ]);
  if (!parsed) throw new Error('no entry');
  return parsed;
}

const account = (slots: string[], changes = {}, windowStart = '11:00:00') =>
  accountOfSlots(entry(slots, changes), nowMs, at(windowStart));
/** Returns a line per slot: `11:58 ran`. */
const slotStates = ({ slots }: ReturnType<typeof accountOfSlots>) =>
  slots.map(({ atMs, state }) => `${new Date(atMs).toISOString().slice(11, 16)} ${state}`);

describe('the account of slots', () => {
  it('classifies each slot since the first as ran, late, overlapped or missed', () => {
    const slots = ['11:54:00', '11:55:00 61', '11:57:00 2 2 no', '11:58:00 0.4 2', '11:59:00', '12:00:00'];
    const { slots: accounted, ...rest } = account(slots);
    const states = '11:54 ran, 11:55 late, 11:56 missed, 11:57 overlapped, 11:58 ran, 11:59 ran, 12:00 ran';
    expect(slotStates(account(slots)).join(', ')).toBe(states);
    expect(accounted.map(({ deliveries }) => deliveries)).toEqual([1, 1, 0, 2, 2, 1, 1]);
    expect(rest).toEqual({ sinceMs: at('11:54:00'), offGrid: 0 });
  });

  it('expects no slot before the window or before the first slot', () => {
    const slots = ['11:57:00', '12:00:00'];
    expect(slotStates(account(slots, {}, '11:59:00'))).toEqual(['11:59 missed', '12:00 ran']);
    expect(slotStates(account(slots.slice(1)))).toEqual(['12:00 ran']);
  });

  it('counts a slot as missed once it is more than a minute old, and not before', () => {
    const upTo = (instant: string) =>
      slotStates(accountOfSlots(entry(['11:58:00']), Date.parse(instant), at('11:58:00')));
    expect(upTo('2026-03-02T12:00:00Z')).toEqual(['11:58 ran']);
    expect(upTo('2026-03-02T12:00:00.001Z')).toEqual(['11:58 ran', '11:59 missed']);
  });

  it('counts a slot as on time from 30 s early up to 60 s late, even if another tick was running', () => {
    const slots = ['11:57:00 60', '11:58:00 60.001', '11:59:00 70 1 no', '12:00:00 60 1 no', '12:01:00 -30'];
    const states = ['11:57 ran', '11:58 late', '11:59 late', '12:00 overlapped', '12:01 ran'];
    expect(slotStates(account(slots))).toEqual(states);
  });

  it('counts slots that the schedule does not name, or names later, as off the grid', () => {
    const { offGrid, slots } = account(['11:59:00', '11:59:30', '12:00:00', '12:05:00 -270']);
    expect([offGrid, slots.length]).toEqual([2, 2]);
  });

  it('reads schedules of seconds, days and weeks, and expects no slot of an invalid one', () => {
    const count = (schedule: string, first: string, hours: number) => {
      const one = entry([], { schedule, first_slot: first });
      return accountOfSlots(one, nowMs, nowMs - hours * 3_600_000).slots.length;
    };
    expect(count('*/30 * * * * *', '2026-03-02T11:58:00Z', 24)).toBe(3);
    expect(count('0 3 * * *', '2026-03-01T03:00:00Z', 48)).toBe(2);
    expect(count('0 3 * * 2', '2026-03-01T03:00:00Z', 48)).toBe(0);
    expect(count('nonsense', '2026-03-01T03:00:00Z', 48)).toBe(0);
  });
});

describe('the instants of a schedule', () => {
  it.each(['* * * * *', '*/7 * * * *', '5,35 8-17 * * 1-5', '0 0 1 * *', '*/10 * * * * *', '0 9 * * 1#1'])(
    'of %s are the ones that croner names in UTC',
    (schedule) => {
      const [from, to] = [at('2026-02-27T23:30:00.000Z'), at('2026-03-02T12:00:00.000Z')];
      const whole: number[] = [];
      const cron = new Cron(schedule, { timezone: 'UTC', paused: true });
      let next = cron.nextRun(new Date(from - 1_000));
      while (next && next.getTime() <= to && whole.length < 500) {
        whole.push(next.getTime());
        next = cron.nextRun(next);
      }
      expect(scheduleInstants(schedule, from, to).slice(0, 500)).toEqual(whole);
    },
  );

  it('are the latest ones if there are too many, and earlier slots are not judged', () => {
    const instants = scheduleInstants('* * * * * *', nowMs - 48 * 3_600_000, nowMs);
    expect(instants).toHaveLength(maxInstants);
    expect(instants.at(-1)).toBe(nowMs);
    expect(instants[0]).toBe(nowMs - (maxInstants - 1) * 1_000);
    const first = new Date(nowMs - 47 * 3_600_000).toISOString();
    const seconds = entry([first, now], { schedule: '* * * * * *' });
    const { sinceMs, offGrid } = accountOfSlots(seconds, nowMs, nowMs - 48 * 3_600_000);
    expect([sinceMs, offGrid]).toEqual([nowMs + 60_000 - (maxInstants - 1) * 1_000, 0]);
  });

  it('of a day of minutes take less CPU time for ten entries than croner takes for five', () => {
    const day = (schedule: string) => entry(['2026-03-01T12:00:00.000Z'], { schedule });
    const entries = Array.from({ length: 10 }, () => day('* * * * *'));
    const began = process.cpuUsage();
    const accounts = coverageOf(entries, nowMs, 24);
    const took = process.cpuUsage(began);
    expect(accounts.map(({ missed }) => missed)).toEqual(Array(10).fill(1_439));
    const beganCroner = process.cpuUsage();
    const cron = new Cron('* * * * *', { timezone: 'UTC', paused: true });
    let next = cron.nextRun(new Date(nowMs - 24 * 3_600_000));
    while (next && next.getTime() <= nowMs) next = cron.nextRun(next);
    const tookCroner = process.cpuUsage(beganCroner);
    // Ten entries take 10 to 40 ms. Croner takes 100 ms for each.
    expect(took.user + took.system).toBeLessThan(5 * (tookCroner.user + tookCroner.system));
  });
});

describe('the account of schedulers', () => {
  const accounts = (...entries: SlotEntry[]) => coverageOf(entries, nowMs, 1);

  it('counts each slot once, and separately those that were delivered more than once', () => {
    const slots = ['11:55:00', '11:56:00 90 2', '11:57:00 1 2 no', '11:59:00 1 3', '12:00:00'];
    const counts = { expected: 6, ran: 3, late: 1, overlapped: 1, missed: 1, duplicate: 3, offGrid: 0 };
    const times = { since: '2026-03-02T11:55:00.000Z', lastSlot: '2026-03-02T12:00:00.000Z', until: null };
    expect(accounts(entry(slots))).toMatchObject([{ ...counts, ...times }]);
  });

  it('expects no slot of a schedule once another one has replaced it', () => {
    const [old, other] = accounts(
      entry(['11:50:00', '11:51:00']),
      entry(['11:54:00', '11:56:00', '11:58:00', '12:00:00'], { schedule: '*/2 * * * *' }),
    );
    expect(old).toMatchObject({ until: '2026-03-02T11:54:00.000Z', expected: 4, ran: 2, missed: 2 });
    expect(other).toMatchObject({ until: null, expected: 4, ran: 4 });
  });

  it('does not count a schedule as replaced if both go on, or by another scheduler or path', () => {
    const slots = ['11:58:00', '11:59:00', '12:00:00'];
    const both = accounts(
      entry(slots),
      entry(['11:56:00', '12:00:00'], { schedule: '*/4 * * * *' }),
      entry(['11:50:00'], { scheduler: 'vercel' }),
      entry(['11:50:00'], { path: '/api/cron/posts' }),
    );
    expect(both.map(({ until }) => until)).toEqual([null, null, null, null]);
    expect(both.map(({ guessed }) => guessed)).toEqual([false, false, true, false]);
  });

  it('leaves out a schedule that was replaced before the requested hours', () => {
    const replaced = entry(['10:30:00'], { schedule: '*/5 * * * *', slots: [] });
    const [one, ...more] = accounts(replaced, entry(['10:40:00']));
    expect([one?.schedule, more.length]).toEqual(['* * * * *', 0]);
  });

  it('lists exceptions, the latest first, with consecutive slots as one', () => {
    const slots = [
      '11:50:00',
      '11:54:00 90',
      '11:55:00 125.5',
      '11:57:00 1 1 no',
      '11:58:00 1 2',
      '12:00:00',
    ];
    const [one] = accounts(entry(slots));
    const instant = (time: string) => `2026-03-02T${time}:00.000Z`;
    const of = (time: string, to = time) => ({ slot: instant(time), to: instant(to) });
    expect(one?.exceptions).toEqual([
      // 11:59 is older than a minute, so it is missed.
      { ...of('11:59'), slots: 1, what: 'missed' },
      { ...of('11:58'), slots: 1, what: 'duplicate' },
      { ...of('11:57'), slots: 1, what: 'overlapped' },
      { ...of('11:56'), slots: 1, what: 'missed' },
      { ...of('11:54', '11:55'), slots: 2, what: 'late', lateSeconds: 125.5 },
      { ...of('11:51', '11:53'), slots: 3, what: 'missed' },
    ]);
  });

  it('lists at most 20 exceptions, and drops harmless ones before a missed one', () => {
    const slots = ['11:01:00'];
    // 11:02 is missed.
    for (let minute = 3; minute < 60; minute++)
      slots.push(`11:${String(minute).padStart(2, '0')}:00 1 ${1 + (minute % 2)}`);
    const [one] = accounts(entry([...slots, '12:00:00']));
    expect(one?.exceptions).toHaveLength(20);
    expect(one?.exceptions.map(({ what }) => what)).toEqual([...Array(19).fill('duplicate'), 'missed']);
    expect(one?.exceptions[0]?.slot).toBe('2026-03-02T11:59:00.000Z');
  });
});
