import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { testDatabase } from '../support/fixtures.ts';
import { assertProperty } from '../support/property.ts';

const database = testDatabase();

type Hours = Record<string, string[]>;
const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const minuteMs = 60_000;
const dayMs = 86_400_000;

/** Time zones, each with an instant near a change of its clocks, if they change. */
const changes: [zone: string, at: string][] = [
  ['Europe/Berlin', '2026-03-29T01:00:00Z'],
  ['Europe/Berlin', '2026-10-25T01:00:00Z'],
  ['America/New_York', '2026-03-08T07:00:00Z'],
  ['America/New_York', '2026-11-01T06:00:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30:00Z'],
  // Changes at midnight: one day begins at 01:00, and one repeats its last hour.
  ['America/Sao_Paulo', '2017-10-15T03:00:00Z'],
  ['America/Sao_Paulo', '2018-02-18T02:00:00Z'],
  ['Africa/Cairo', '2026-04-23T22:00:00Z'],
  ['Africa/Cairo', '2026-10-29T21:00:00Z'],
  ['Pacific/Auckland', '2026-04-04T14:00:00Z'],
  ['Pacific/Auckland', '2026-09-26T14:00:00Z'],
  // Two hours forward; a whole day skipped; the hour after midnight repeated; a day that begins at 01:00.
  ['Antarctica/Troll', '2026-03-29T01:00:00Z'],
  ['Pacific/Apia', '2011-12-30T10:00:00Z'],
  ['America/Havana', '2026-11-01T05:00:00Z'],
  ['America/Havana', '2026-03-08T05:00:00Z'],
  ['Asia/Kolkata', '2026-06-01T00:00:00Z'],
  ['UTC', '2026-06-01T00:00:00Z'],
];

const formats = new Map<string, Intl.DateTimeFormat>();
/** Returns the zone's weekday and minute of the day, from Intl. */
function localOf(zone: string, at: number): { day: string; minute: number } {
  const fields = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
  const format = formats.get(zone) ?? new Intl.DateTimeFormat('en-US', { timeZone: zone, ...fields });
  formats.set(zone, format);
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
  return { day: String(parts.weekday).toLowerCase(), minute: Number(parts.hour) * 60 + Number(parts.minute) };
}

function isOpenAt(hours: Hours, zone: string, at: number): boolean {
  const { day, minute } = localOf(zone, at);
  return (hours[day] ?? []).some((span) => {
    const [from, to] = minutesOf(span);
    return from <= minute && minute < to;
  });
}

/** Returns the minutes of the day at which a span begins and ends. */
function minutesOf(span: string): [from: number, to: number] {
  const minutes = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
  return [minutes(span.slice(0, 5)), minutes(span.slice(6))];
}

/** Tries each quarter of an hour, because every span here begins at one, and so do all clock changes. */
function nextOpenAt(hours: Hours, zone: string, from: number): number | null {
  if (isOpenAt(hours, zone, from)) return from;
  const quarter = 15 * minuteMs;
  for (let at = Math.ceil(from / quarter) * quarter; at <= from + 22 * dayMs; at += quarter) {
    if (isOpenAt(hours, zone, at)) return at;
  }
  return null;
}

async function query(hours: Hours, zone: string, from: number) {
  const [row] = await database.sql(
    // The session's own time zone must make no difference.
    `select punctual.next_open_at($1, $2, $3) as next, punctual.is_open($1, $3::timestamptz at time zone $2) as open
       from (select set_config('TimeZone', 'Europe/Berlin', true) offset 0) zone`,
    [JSON.stringify(hours), zone, new Date(from).toISOString()],
  );
  return { next: row.next === 'infinity' || row.next === null ? null : Date.parse(row.next), open: row.open };
}

const instant = (at: number | null) => at && new Date(at).toISOString().replace('.000Z', 'Z');
const quarterOfDay = (from: number, to: number) => fc.integer({ min: from, max: to });
const clock = (quarter: number) =>
  `${String(Math.floor(quarter / 4)).padStart(2, '0')}:${String((quarter % 4) * 15).padStart(2, '0')}`;
/** A random span. Many lie in the early hours, when clocks change. */
const span = fc
  .oneof(
    fc.tuple(quarterOfDay(0, 16), quarterOfDay(1, 12)),
    fc.tuple(quarterOfDay(0, 95), quarterOfDay(1, 40)),
    fc.tuple(quarterOfDay(86, 95), fc.constant(96)),
  )
  .map(([from, length]) => `${clock(from)}-${clock(Math.min(96, from + length))}`);
const week = fc.dictionary(fc.constantFrom(...days), fc.array(span, { minLength: 1, maxLength: 3 }), {
  minKeys: 1,
  maxKeys: 7,
});
const within = (from: number, to: number) =>
  fc.tuple(fc.constantFrom(...changes), fc.integer({ min: from * 3_600, max: to * 3_600 }));
/** A zone, and an instant near a change of its clocks, or at one. */
const nearChange = fc
  .oneof(within(-72, 48), within(-5, 5))
  .map(([[zone, at], seconds]) => ({ zone, from: Date.parse(at) + seconds * 1_000 }));

describe('sending hours by weekday', () => {
  it('are open, and open next, when the local clock says so, in every zone and over every clock change', async () => {
    await assertProperty(
      fc.asyncProperty(week, nearChange, async (hours, { zone, from }) => {
        const { next, open } = await query(hours, zone, from);
        expect(open).toBe(isOpenAt(hours, zone, from));
        expect(instant(next)).toBe(instant(nextOpenAt(hours, zone, from)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('close at the end of a span, or when a clock change leaves the span, and no sooner', async () => {
    await assertProperty(
      fc.asyncProperty(week, nearChange, async (hours, { zone, from }) => {
        const [row] = await database.sql('select punctual.step_closes_at($1, $2, $3) as at', [
          JSON.stringify(hours),
          zone,
          new Date(from).toISOString(),
        ]);
        const closes = Date.parse(row.at);
        if (!isOpenAt(hours, zone, from)) {
          expect(closes).toBe(from);
          return;
        }
        for (let open = from; open < closes; open += 15 * minuteMs)
          expect([instant(open), isOpenAt(hours, zone, open)]).toEqual([instant(open), true]);
        const last = localOf(zone, closes - minuteMs);
        const ends = (hours[last.day] ?? []).some((span) => minutesOf(span)[1] === last.minute + 1);
        expect(closes).toBeGreaterThan(from);
        expect(ends || !isOpenAt(hours, zone, closes)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  const openings = `
    begin in a skipped hour               | sun 02:30-05:00 | Europe/Berlin       | 2026-03-28T12:00    | 2026-03-29T01:00
    begin in a skipped half hour          | sun 02:00-02:45 | Australia/Lord_Howe | 2026-10-03T12:00    | 2026-10-03T15:30
    begin in the hour skipped from 00:01  | sun 00:30-05:00 | America/St_Johns    | 2011-03-12T12:00    | 2011-03-13T03:31
    lie in a skipped hour                 | sun 02:00-03:00 | Europe/Berlin       | 2026-03-22T02:00    | 2026-04-05T00:00
    lie in a repeated hour                | sun 02:15-02:45 | Europe/Berlin       | 2026-10-25T00:00    | 2026-10-25T00:15
    lie in it, when it has come once      | sun 02:15-02:45 | Europe/Berlin       | 2026-10-25T00:45    | 2026-10-25T01:15
    begin at a midnight that is skipped   | sun 00:00-03:00 | America/Sao_Paulo   | 2017-10-15T02:59:59 | 2017-10-15T03:00
    end at 24:00, in their last second    | mon 13:00-24:00 | America/New_York    | 2026-06-02T03:59:59 | 2026-06-02T03:59:59
    end at 24:00, at their end            | mon 13:00-24:00 | America/New_York    | 2026-06-02T04:00    | 2026-06-08T17:00
    end at any other time, at their end   | mon 09:00-12:00 | UTC                 | 2026-06-01T12:00    | 2026-06-08T09:00
    last a minute between quarter hours   | mon 09:07-09:08 | Asia/Kolkata        | 2026-06-01T03:38    | 2026-06-08T03:37`;
  const rows = openings
    .trim()
    .split('\n')
    .map((row) => row.split('|').map((cell) => cell.trim()));
  it.each(rows)('that %s: %s in %s, after %s UTC, open at %s', async (...row) => {
    const [, spans = '', zone = '', from, next] = row;
    const [day = '', span = ''] = spans.split(' ');
    const found = await query({ [day]: [span] }, zone, Date.parse(`${from}Z`));
    expect(instant(found.next)).toBe(instant(Date.parse(`${next}Z`)));
  });

  it.each<Hours>([{}, { mon: [] }])('of %j never open', async (hours) => {
    const never = { next: null, open: false };
    expect(await query(hours, 'Europe/Berlin', Date.parse('2026-06-01T09:00:00Z'))).toEqual(never);
  });

  it('are valid only in the documented form', async () => {
    const right = [{}, { mon: ['00:00-24:00'] }, { sun: ['09:00-09:01', '08:00-10:00'] }];
    const mondays = ['09:00-10:00', ['9:00-10:00'], ['10:00-10:00'], ['22:00-06:00'], ['24:00-24:00']];
    const wrong = [
      { monday: [] },
      [],
      'mon',
      ...[...mondays, ['00:00-24:01'], [null]].map((mon) => ({ mon })),
    ];
    for (const [hours, valid] of [...right.map((h) => [h, true]), ...wrong.map((h) => [h, false])]) {
      const [row] = await database.sql('select punctual.is_hours($1) as ok', [JSON.stringify(hours)]);
      expect([hours, row.ok]).toEqual([hours, valid]);
    }
  });
});
