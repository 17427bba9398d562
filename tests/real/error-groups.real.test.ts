import type { Client } from 'pg';
import { beforeEach, expect, it } from 'vitest';
import { exchanges } from '../support/exchanges.ts';
import { perTest } from '../support/fixtures.ts';
import { testStack } from './test-stack.ts';

const stack = testStack();
const sql = perTest(() => exchanges(stack));
beforeEach(() => stack.sql(`update punctual.queues set max_ticks = 100 where name = 'dm_queue'`));

/** Adds a message that a tick has claimed. Returns a function that settles it as failed in a session's transaction. */
async function claimed(error: string) {
  const account = await sql.addAccount();
  const id = await sql.addDm(account);
  const [{ claim_id }] = await stack.sql(
    `update punctual.dm_queue set status = 'sending', attempts = 1, claim_id = gen_random_uuid(), claimed_at = now(), lease_expires_at = now() + interval '1 minute'
      where id = $1 returning claim_id`,
    [id],
  );
  const records = [{ id, claim_id, outcome: 'dead', error, kind: 'rejected', account_id: account }];
  const settle = (session: Client) =>
    session.query('select punctual.settle_outcomes(q, $1, now()) from punctual.queues q where q.name = $2', [
      JSON.stringify({ records }),
      'dm_queue',
    ]);
  return { id, settle };
}

const sessions = () => Promise.all([stack.begin(stack.ownerUrl), stack.begin(stack.ownerUrl)]);
const groups = () => stack.sql('select g.id, g.text from punctual.error_groups g');
const failed = async () =>
  (
    await stack.sql(
      `select row_id from punctual.history where event = 'dead' and error_group is not null order by row_id::bigint`,
    )
  ).map(({ row_id }) => row_id);

it('two ticks that meet a new error at once do not wait for each other, and make one group of it', async () => {
  const [one, two] = [await claimed('request 7 was refused'), await claimed('request 8 was refused')];
  const [first, second] = await sessions();
  await one.settle(first);
  const settling = two.settle(second);
  expect(await stack.isBlocked(second, settling)).toBe(false);
  await settling;
  await second.query('commit');
  expect([await groups(), await failed()]).toEqual([[], [two.id]]);
  await first.query('commit');
  expect(await groups()).toEqual([{ id: expect.any(String), text: 'request # was refused' }]);
  expect(await failed()).toEqual([one.id, two.id]);
});

it('a tick that loses its transaction leaves the group of a new error to the next', async () => {
  const [one, two] = [await claimed('request 7 was refused'), await claimed('request 8 was refused')];
  const [first, second] = await sessions();
  await one.settle(first);
  await first.query('rollback');
  await two.settle(second);
  await second.query('commit');
  expect([(await groups()).length, await failed()]).toEqual([1, [two.id]]);
});
