import { Cron } from 'croner';
import { expect, it } from 'vitest';
import { testDatabase } from '../support/fixtures.ts';

const database = testDatabase();

const findSlots = async (cases: { schedule: string; at: string }[]): Promise<(number | null)[]> => {
  const rows = await database.sql(
    `select extract(epoch from punctual.find_cron_slot(x->>'schedule', (x->>'at')::timestamptz)) * 1000 as slot
       from jsonb_array_elements($1) with ordinality a (x, n) order by n`,
    [JSON.stringify(cases)],
  );
  return rows.map(({ slot }) => (slot === null ? null : Number(slot)));
};

it('the slot of a pg_cron run is the schedule’s latest instant of the last hour, for schedules of all kinds', async () => {
  const schedules = [
    ...[
      '* * * * *',
      '*/5 * * * *',
      '7-50/7 * * * *',
      '0,30,59 8-17 * * mon-fri',
      '17 3 * * *',
      '59 23 31 12 *',
    ],
    ...['5 * 1,15 * 3', '*/20 * 2-30/2 * sun', '12 * * feb,NOV 7', '45 0-23/6 * * 0'],
  ];
  const days = ['2026-11-23', '2026-11-22', '2026-12-31', '2028-02-29', '2026-11-01'];
  const times = ['00:00:00', '00:00:59', '03:17:00', '03:16:59.999', '12:03:30', '17:59:10', '23:59:59'];
  const instants = days.flatMap((day) => times.map((time) => `${day}T${time}Z`));
  const cases = schedules.flatMap((schedule) => instants.map((at) => ({ schedule, at })));
  const expected = cases.map(({ schedule, at }) => {
    const nowMs = Date.parse(at);
    // Croner returns runs strictly before the given whole second.
    const before = new Date(Math.floor(nowMs / 1_000) * 1_000 + 1_000);
    const [slot] = new Cron(schedule, { timezone: 'UTC', paused: true }).previousRuns(1, before);
    const minute = Math.floor(nowMs / 60_000) * 60_000;
    return slot && minute - slot.getTime() <= 3_600_000 ? slot.getTime() : null;
  });
  const found = await findSlots(cases);
  expect(cases.map((one, n) => ({ ...one, slot: found[n] }))).toEqual(
    cases.map((one, n) => ({ ...one, slot: expected[n] })),
  );
  const without = expected.filter((slot) => slot === null).length;
  expect(Math.min(without, expected.length - without)).toBeGreaterThan(50);
});

it.each([
  // As in pg_cron, both days must match if one of them begins with a star.
  ['0 12 */2 * sun', '2026-11-22T12:00:00Z', false],
  ['0 12 */2 * sun', '2026-11-29T12:00:00Z', true],
  ['0 12 */2 * sun', '2026-11-23T12:00:00Z', false],
  // $ is the last day of the month.
  ['0 12 $ * *', '2026-11-30T12:00:00Z', true],
  ['0 12 $ * *', '2026-11-29T12:00:00Z', false],
  ['0 12 $ * *', '2028-02-29T12:30:00Z', true],
])('the schedule %s has a slot in the hour before %s: %s', async (schedule, at, has) => {
  const [slot] = await findSlots([{ schedule, at }]);
  expect(slot !== null).toBe(has);
});
