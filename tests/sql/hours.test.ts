import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assertProperty } from '../support/property.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

type Hours = Record<string, string[]>;
const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const minuteMs = 60_000;
const dayMs = 86_400_000;

/** Each zone, and an instant near a change of its clocks. */
const changes: [zone: string, at: string][] = [
  ['Europe/Berlin', '2026-03-29T01:00:00Z'],
  ['Europe/Berlin', '2026-10-25T01:00:00Z'],
  ['America/New_York', '2026-03-08T07:00:00Z'],
  ['America/New_York', '2026-11-01T06:00:00Z'],
  ['Australia/Lord_Howe', '2026-04-04T15:00:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30:00Z'],
  // At midnight: the day begins at one, and a day has two evenings.
  ['America/Sao_Paulo', '2017-10-15T03:00:00Z'],
  ['America/Sao_Paulo', '2018-02-18T02:00:00Z'],
  ['Africa/Cairo', '2026-04-23T22:00:00Z'],
  ['Africa/Cairo', '2026-10-29T21:00:00Z'],
  ['Pacific/Auckland', '2026-04-04T14:00:00Z'],
  ['Pacific/Auckland', '2026-09-26T14:00:00Z'],
  // Two hours forward; a whole day left out; the day before 1 a.m. twice; one that begins with its second hour.
  ['Antarctica/Troll', '2026-03-29T01:00:00Z'],
  ['Pacific/Apia', '2011-12-30T10:00:00Z'],
  ['America/Havana', '2026-11-01T05:00:00Z'],
  ['America/Havana', '2026-03-08T05:00:00Z'],
  ['Asia/Kolkata', '2026-06-01T00:00:00Z'],
  ['UTC', '2026-06-01T00:00:00Z'],
];

const formats = new Map<string, Intl.DateTimeFormat>();
/** The weekday and the minute of the day there, by Intl. */
function localOf(zone: string, at: number): { day: string; minute: number } {
  let format = formats.get(zone);
  if (!format) {
    const fields = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
    format = new Intl.DateTimeFormat('en-US', { timeZone: zone, ...fields });
    formats.set(zone, format);
  }
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

/** The minutes of the day between which a span lies. */
function minutesOf(span: string): [from: number, to: number] {
  const minutes = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
  return [minutes(span.slice(0, 5)), minutes(span.slice(6))];
}

/** Every span here begins at a quarter of an hour, and so do all clock changes: the quarters are tried one by one. */
function nextOpenAt(hours: Hours, zone: string, from: number): number | null {
  if (isOpenAt(hours, zone, from)) return from;
  const quarter = 15 * minuteMs;
  for (let at = Math.ceil(from / quarter) * quarter; at <= from + 22 * dayMs; at += quarter) {
    if (isOpenAt(hours, zone, at)) return at;
  }
  return null;
}

async function ask(
  hours: Hours,
  zone: string,
  from: number,
): Promise<{ next: number | null; open: boolean }> {
  const [row] = await database.sql(
    // The session's own zone is to make no difference.
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
/** Many lie in the small hours, where clocks are changed. */
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
const nearChange = fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -3 * 86_400, max: 2 * 86_400 }));
const atChange = fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -5 * 3_600, max: 5 * 3_600 }));

describe('hours by weekday', () => {
  it('open when the local clock says so, and next when it says so next, in every zone and over every clock change', async () => {
    await assertProperty(
      fc.asyncProperty(week, fc.oneof(nearChange, atChange), async (hours, [[zone, at], seconds]) => {
        const from = Date.parse(at) + seconds * 1_000;
        const { next, open } = await ask(hours, zone, from);
        expect(open).toBe(isOpenAt(hours, zone, from));
        expect(instant(next)).toBe(instant(nextOpenAt(hours, zone, from)));
      }),
      { numRuns: 1_000 },
    );
  });

  it('close at the end of a span or where the clocks leave it, and no sooner', async () => {
    await assertProperty(
      fc.asyncProperty(week, fc.oneof(nearChange, atChange), async (hours, [[zone, at], seconds]) => {
        const from = Date.parse(at) + seconds * 1_000;
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

  it.each<[what: string, hours: Hours, zone: string, from: string, next: string]>([
    [
      'a span that begins in the hour that does not exist: from its end',
      { sun: ['02:30-05:00'] },
      'Europe/Berlin',
      '2026-03-28T12:00:00Z',
      '2026-03-29T01:00:00Z',
    ],
    [
      'a span in the hour that comes twice: the first time',
      { sun: ['02:15-02:45'] },
      'Europe/Berlin',
      '2026-10-25T00:00:00Z',
      '2026-10-25T00:15:00Z',
    ],
    [
      'a span in the hour that comes twice, once it is over: the second time',
      { sun: ['02:15-02:45'] },
      'Europe/Berlin',
      '2026-10-25T00:45:00Z',
      '2026-10-25T01:15:00Z',
    ],
    [
      'a day that begins at one o’clock: then',
      { sun: ['00:00-03:00'] },
      'America/Sao_Paulo',
      '2017-10-15T02:59:59Z',
      '2017-10-15T03:00:00Z',
    ],
    [
      'half an hour that does not exist: from its end',
      { sun: ['02:00-02:45'] },
      'Australia/Lord_Howe',
      '2026-10-03T12:00:00Z',
      '2026-10-03T15:30:00Z',
    ],
    [
      'clocks changed at one minute past midnight: from then',
      { sun: ['00:30-05:00'] },
      'America/St_Johns',
      '2011-03-12T12:00:00Z',
      '2011-03-13T03:31:00Z',
    ],
    [
      'a span to 24:00, at its last second: now',
      { mon: ['13:00-24:00'] },
      'America/New_York',
      '2026-06-02T03:59:59Z',
      '2026-06-02T03:59:59Z',
    ],
    [
      'a span to 24:00, at its end: a week later',
      { mon: ['13:00-24:00'] },
      'America/New_York',
      '2026-06-02T04:00:00Z',
      '2026-06-08T17:00:00Z',
    ],
    [
      'a span that was over a second ago: a week later',
      { mon: ['09:00-12:00'] },
      'UTC',
      '2026-06-01T12:00:00Z',
      '2026-06-08T09:00:00Z',
    ],
    [
      'the minutes that no quarter shows',
      { mon: ['09:07-09:08'] },
      'Asia/Kolkata',
      '2026-06-01T03:38:00Z',
      '2026-06-08T03:37:00Z',
    ],
  ])('%s', async (_what, hours, zone, from, next) => {
    expect(instant((await ask(hours, zone, Date.parse(from))).next)).toBe(next);
  });

  it('of no day at all never open', async () => {
    for (const hours of [{}, { mon: [] }] as Hours[])
      expect(await ask(hours, 'Europe/Berlin', Date.parse('2026-06-01T09:00:00Z'))).toEqual({
        next: null,
        open: false,
      });
  });

  it('that lie in the hour that does not exist this week open a week later', async () => {
    // A week before the clocks change, just closed: the next hour of that name but one is the first there is.
    const { next } = await ask({ sun: ['02:00-03:00'] }, 'Europe/Berlin', Date.parse('2026-03-22T02:00:00Z'));
    expect(instant(next)).toBe('2026-04-05T00:00:00Z');
  });

  it('are taken only in their form', async () => {
    const isHours = async (hours: unknown) =>
      (await database.sql('select punctual.is_hours($1) as ok', [JSON.stringify(hours)]))[0].ok;
    for (const hours of [{}, { mon: ['00:00-24:00'] }, { sun: ['09:00-09:01', '08:00-10:00'] }])
      expect([hours, await isHours(hours)]).toEqual([hours, true]);
    const wrong = [
      { monday: [] },
      { mon: '09:00-10:00' },
      { mon: ['9:00-10:00'] },
      { mon: ['10:00-10:00'] },
      { mon: ['22:00-06:00'] },
      { mon: ['24:00-24:00'] },
      { mon: ['00:00-24:01'] },
      { mon: [null] },
      [],
      'mon',
    ];
    for (const hours of wrong) expect([hours, await isHours(hours)]).toEqual([hours, false]);
  });
});
