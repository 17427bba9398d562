import { expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTestExchanges } from '../support/fixtures.ts';
import { appDatabase, insertRow } from '../support/own-tables.ts';
import { makeQueue, runQueue } from './run-queue.ts';

const database = appDatabase();
const sql = perTestExchanges(database);

it.each([
  ['state', 'text'],
  ['State of it', 'app.state'],
  [`100% "it's" {status}`, 'varchar(9)'],
])('a queue with its state in a column %s (%s) supports every step', (status, type) =>
  runQueue(database, sql, { columns: { due: 'remind_at', status }, type }),
);

it('an account’s rows go in order, and wait for a retry until an operator cancels it by SQL', async () => {
  // Changes by plain SQL take the machine's time.
  sql.setNow(new Date().toISOString());
  await makeQueue(database, { columns: { due: 'due', account: 'account', pair: 'person', status: 'state' } });
  const account = await sql.addAccount();
  const tick = () => sql.tick({ queue: 'x' });
  const add = (person: string) => insertRow(database, 'app.x', { account, person, due: sql.at(-60) });
  const [first, second] = [await add('Ada'), await add('Bob')];
  expect(await attemptIn(tick(), 'retry', { delay_seconds: 600 })).toBe(first);
  const why = await database.rpc('explain_row', { p_queue: 'x', p_id: second, p_now: sql.now });
  expect(why).toMatchObject({ ahead: { ids: [first] } });
  expect(await attemptIn(tick())).toBeNull();
  await database.sql(`update app.x set state = 'void' where id = $1`, [first]);
  sql.pass(1);
  expect(await attemptIn(tick())).toBe(second);
  expect(await database.sql('select state from app.x where id = $1', [second])).toEqual([
    { state: 'reminded' },
  ]);
});

it('a row in a state that is no word of the queue cannot be explained', async () => {
  await makeQueue(database, { columns: { due: 'due', status: 'state' } });
  const p_id = await insertRow(database, 'app.x', { due: sql.now, state: 'draft' });
  await expect(database.rpc('explain_row', { p_queue: 'x', p_id, p_now: sql.now })).rejects.toMatchObject({
    code: 'PT409',
    message: expect.stringContaining('is draft, which is no word of x'),
  });
});
