import { expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);

const afterRestore = async () => {
  const [row] = await database.sql('select punctual.after_restore($1, $1) as answer', [sql.now]);
  return row.answer.queues;
};

it('all rows of a plain at-most-once queue are unknown after a restore, even 10,001 of them', async () => {
  await database.sql('create schema app');
  await database.sql('create table app.letters (id bigserial primary key, send_at timestamptz)');
  await database.sql('create table app.told (letter text, outcome text)');
  await database.sql(`create function app.tell(p_applied jsonb, p_now timestamptz) returns void language sql as $$
    insert into app.told select a->>'id', a->>'outcome' from jsonb_array_elements(p_applied) a $$`);
  await database.sql(
    `select punctual.add_queue('letters', 'app.letters', 'send_at', 'at-most-once', p_after_settle => 'app.tell')`,
  );
  await database.sql('insert into app.letters (send_at) select $1 from generate_series(1, 10001)', [sql.now]);
  expect(await afterRestore()).toContainEqual(expect.objectContaining({ queue: 'letters', unknown: 10_001 }));
  const states = await database.sql('select status, count(*) as n from app.letters group by 1');
  expect(states).toEqual([{ status: 'unknown', n: 10_001 }]);
  const told = await database.sql('select outcome, count(distinct letter) as n from app.told group by 1');
  expect(told).toEqual([{ outcome: 'unknown', n: 10_001 }]);
});

it('a queue whose table was not restored is named in an error with the remedy, and nothing changes', async () => {
  await sql.addDm(await sql.addAccount());
  await database.sql('create schema lost');
  await database.sql('create table lost.gone (id bigint primary key, due timestamptz)');
  await database.sql(`select punctual.add_queue('gone', 'lost.gone', 'due', 'at-least-once')`);
  await database.sql('drop table lost.gone');
  await expect(afterRestore()).rejects.toMatchObject({
    message: 'after_restore: the table lost.gone of the queue gone does not exist',
    hint: expect.stringContaining(`select punctual.remove_queue('gone')`),
  });
  expect(await database.sql('select from punctual.queues where paused_at is not null')).toEqual([]);
  await database.sql(`select punctual.remove_queue('gone')`);
  expect(await afterRestore()).toContainEqual(expect.objectContaining({ queue: 'dm_queue', unknown: 1 }));
});
