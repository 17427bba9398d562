import { Cron } from 'croner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readScheduler, readSlot } from '../../../lib/cron/slots/slot.ts';
import { assertProperty } from '../../support/property.ts';

const named = (slot: string) =>
  readSlot(new Headers({ 'x-punctual-slot': slot }), Date.parse('2026-03-02T12:00:00Z'));
const guessed = (schedule: string, now: string) =>
  readSlot(new Headers({ 'x-vercel-cron-schedule': schedule }), Date.parse(now));

const invalid = (header: string): [string, null] => [header, null];

describe('the slot of a request', () => {
  it.each([
    ['2026-03-02T12:00:00.000Z', '2026-03-02T12:00:00.000Z'],
    ['2026-03-02T13:00:10+01:00', '2026-03-02T12:00:10.000Z'],
    ...['', 'now', '2026-03-02', '2026-13-02T12:00:00Z', '1772452800000', '+010000-01-01T00:00:00Z'].map(
      invalid,
    ),
    // Postgres has no year 0.
    invalid('0000-01-01T00:00:00Z'),
    // Without an offset, the instant depends on the server's time zone.
    invalid('2026-03-02T12:00:00'),
  ])('for the instant %j that a scheduler names is %j', (header, slot) => {
    expect(named(header)).toBe(slot);
  });

  it('is the one that the scheduler names, even if its schedule suggests another', () => {
    const headers = new Headers({
      'x-punctual-slot': '2026-03-02T11:59:50Z',
      'x-vercel-cron-schedule': '* * * * *',
    });
    expect(readSlot(headers, Date.parse('2026-03-02T12:00:05Z'))).toBe('2026-03-02T11:59:50.000Z');
  });

  it.each<[schedule: string, now: string, slot: string | null]>([
    ['* * * * *', '2026-03-02T12:00:00.000Z', '2026-03-02T12:00:00.000Z'],
    ['* * * * *', '2026-03-02T12:00:00.001Z', '2026-03-02T12:00:00.000Z'],
    ['* * * * *', '2026-03-02T12:00:59.999Z', '2026-03-02T12:00:00.000Z'],
    ['17 3 * * *', '2026-03-02T03:16:59.900Z', '2026-03-01T03:17:00.000Z'],
    ['0 0 29 2 *', '2026-03-02T12:00:00.000Z', '2024-02-29T00:00:00.000Z'],
    ...['nonsense', '* * *', '61 * * * *', '0 0 30 2 *'].map((schedule): [string, string, null] => [
      schedule,
      '2026-03-02T12:00:00Z',
      null,
    ]),
  ])('is, for the schedule %s at %s, the latest instant that is not after now: %s', (schedule, now, slot) => {
    expect(guessed(schedule, now)).toBe(slot);
  });

  it('is null if the request names neither a slot nor a schedule', () => {
    expect(readSlot(new Headers(), Date.now())).toBeNull();
  });

  it('is never after now at any millisecond, and no instant of the schedule lies between the two', async () => {
    const minute = 60_000;
    const names = ['* * * * *', '*/7 * * * *', '30 */2 * * *', '0 9 * * 1-5', '59 23 31 12 *'];
    const schedules = fc.constantFrom(...names);
    const instants = fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2030, 0, 1) });
    const nearMinutes = fc
      .tuple(instants, fc.integer({ min: -1_500, max: 1_500 }))
      .map(([at, beside]) => Math.round(at / minute) * minute + beside);
    await assertProperty(
      fc.property(schedules, fc.oneof(instants, nearMinutes), (schedule, now) => {
        const slot = readSlot(new Headers({ 'x-vercel-cron-schedule': schedule }), now);
        const at = Date.parse(slot ?? '');
        expect(at).toBeLessThanOrEqual(now);
        const next = new Cron(schedule, { timezone: 'UTC', paused: true }).nextRun(new Date(at));
        expect(next?.getTime()).toBeGreaterThan(now);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the scheduler of a request', () => {
  it.each<[headers: Record<string, string>, scheduler: string]>([
    [{}, 'http'],
    [{ 'user-agent': 'vercel-cron/1.0' }, 'vercel'],
    [{ 'user-agent': 'Mozilla/5.0 vercel-cron/1.0' }, 'http'],
    [{ 'x-punctual-scheduler': 'local' }, 'local'],
    [{ 'x-punctual-scheduler': 'pg-cron', 'user-agent': 'vercel-cron/1.0' }, 'pg-cron'],
    [{ 'x-punctual-scheduler': '<script>' }, 'http'],
    [{ 'x-punctual-scheduler': 'x'.repeat(21) }, 'http'],
    [{ 'x-punctual-scheduler': '', 'user-agent': 'vercel-cron/2.0' }, 'vercel'],
  ])('that sends %j is %s', (headers, scheduler) => {
    expect(readScheduler(new Headers(headers))).toBe(scheduler);
  });
});
