import { Cron } from 'croner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

describe('the slot of a pg_cron run', () => {
  it('is the schedule’s latest instant of the last hour, for schedules of all kinds', async () => {
    const schedules = [
      '* * * * *',
      '*/5 * * * *',
      '7-50/7 * * * *',
      '0,30,59 8-17 * * mon-fri',
      '17 3 * * *',
      '59 23 31 12 *',
      '5 * 1,15 * 3',
      '*/20 * 2-30/2 * sun',
      '12 * * feb,NOV 7',
      '45 0-23/6 * * 0',
    ];
    const instants: string[] = [];
    for (const day of ['2026-11-23', '2026-11-22', '2026-12-31', '2028-02-29', '2026-11-01']) {
      for (const time of [
        '00:00:00',
        '00:00:59',
        '03:17:00',
        '03:16:59.999',
        '12:03:30',
        '17:59:10',
        '23:59:59',
      ]) {
        instants.push(`${day}T${time}Z`);
      }
    }
    const cases = schedules.flatMap((schedule) => instants.map((at) => ({ schedule, at })));
    const rows = await database.sql(
      `select extract(epoch from punctual.find_cron_slot(x->>'schedule', (x->>'at')::timestamptz)) * 1000 as slot
       from jsonb_array_elements($1) with ordinality a (x, n) order by n`,
      [JSON.stringify(cases)],
    );
    const expected = cases.map(({ schedule, at }) => {
      const nowMs = Date.parse(at);
      // Croner returns runs strictly before the given whole second.
      const before = new Date(Math.floor(nowMs / 1_000) * 1_000 + 1_000);
      const [slot] = new Cron(schedule, { timezone: 'UTC', paused: true }).previousRuns(1, before);
      const minute = Math.floor(nowMs / 60_000) * 60_000;
      return slot && minute - slot.getTime() <= 3_600_000 ? slot.getTime() : null;
    });
    const found = rows.map(({ slot }, n) => ({ ...cases[n], slot: slot === null ? null : Number(slot) }));
    expect(found).toEqual(cases.map((one, n) => ({ ...one, slot: expected[n] })));
    expect(expected.filter((slot) => slot !== null).length).toBeGreaterThan(50);
    expect(expected.filter((slot) => slot === null).length).toBeGreaterThan(50);
  });

  it('matches both the day of the month and the day of the week if one of them begins with a star, as in pg_cron', async () => {
    const query = `select x, punctual.find_cron_slot('0 12 */2 * sun', x) is not null as found
    from unnest(array['2026-11-22T12:00:00Z', '2026-11-29T12:00:00Z', '2026-11-23T12:00:00Z']::timestamptz[]) x`;
    expect((await database.sql(query)).map(({ found }) => found)).toEqual([false, true, false]);
  });

  it('is on the last day of the month if the schedule’s day is $', async () => {
    const query = `select punctual.find_cron_slot('0 12 $ * *', $1) is not null as found`;
    const found = async (at: string) => (await database.sql(query, [at]))[0].found;
    expect(await found('2026-11-30T12:00:00Z')).toBe(true);
    expect(await found('2026-11-29T12:00:00Z')).toBe(false);
    expect(await found('2028-02-29T12:30:00Z')).toBe(true);
  });
});
