import { beforeEach, describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { conversations } from '../support/conversations.ts';
import { perTest, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTest(() => conversations(database, sql));
let account: string;

beforeEach(async () => {
  account = await sql.addAccount({ provider_account_id: 'us' });
});

/** Changes a message by plain SQL, and returns it. */
const set = async (id: string, changes: string) => {
  await database.sql(`update punctual.dm_queue set ${changes} where id = $1`, [id]);
  return sql.dm(id);
};
const remove = (id: string) => database.sql('delete from punctual.dm_queue where id = $1', [id]);
/** Claims the one due message. Returns its tick, and a function that settles it. */
async function claim() {
  const { messages, tick } = await talk.claim();
  const [{ id, claim_id } = { id: '', claim_id: '' }] = messages;
  const settle = (outcome: string, more: object = {}) =>
    tick.settle([{ id, claim_id, outcome, error: 'e', delay_seconds: 1, ...more }]);
  return { tick, settle };
}
const sent = { result: { provider_message_id: 'm1' } };
const enrol = async (bodies = ['one', 'two']) => {
  const sequence = await talk.addSequence(bodies.map((body) => ({ body })));
  const [id = ''] = await talk.enrol(sequence, [{ account_id: account, recipient: 'ann' }]);
  await talk.advance();
  const [message] = (await talk.messages(id)) as unknown as { id: number }[];
  return { id, message: String(message?.id) };
};

describe('a row that plain SQL settles', () => {
  it.each(['sent', 'failed', 'cancelled'])(
    'as %s gets its finished_at, and retention deletes it',
    async (status) => {
      const id = await sql.addDm(account);
      expect((await set(id, `status = '${status}'`)).finished_at).not.toBeNull();
      const later = new Date(Date.now() + 40 * 86_400_000).toISOString();
      await database.rpc('prune', { p_limit: 10, p_now: later });
      expect(await sql.dm(id)).toBeUndefined();
    },
  );

  it('keeps the finished_at of the statement, and a second time gets that of the second time', async () => {
    const id = await sql.addDm(account);
    const at = '2025-03-02T10:00:00.000Z';
    const { finished_at } = await set(id, `status = 'cancelled', finished_at = '${at}'`);
    expect(new Date(finished_at).toISOString()).toBe(at);
    const again = await set(id, `status = 'sent'`);
    expect(Date.parse(again.finished_at)).toBeGreaterThan(Date.parse('2026-01-01'));
  });

  it('and then makes pending again loses its finished_at and runs', async () => {
    const id = await sql.addDm(account);
    await set(id, `status = 'cancelled'`);
    expect((await set(id, `status = 'pending'`)).finished_at).toBeNull();
    expect(await sql.drain()).toEqual([id]);
  });

  it('while an attempt runs accepts nothing from that attempt but proof that it was done', async () => {
    const id = await sql.addDm(account);
    const { settle } = await claim();
    expect((await set(id, `status = 'cancelled'`)).lease_expires_at).toBeNull();
    await settle('retry');
    expect(await sql.dm(id)).toMatchObject({ status: 'cancelled' });
    await settle('done', sent);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });

  it.each([
    ['is cancelled', (id: string) => set(id, `status = 'cancelled'`)],
    ['is deleted', remove],
  ])('no longer holds its account for a retry once it %s', async (_, settle) => {
    // Plain SQL frees the account by the real clock.
    sql.setNow(new Date().toISOString());
    const [first, second] = [await sql.addDm(account), await sql.addDm(account)];
    expect(await attemptIn(sql.tick(), 'retry', { delay_seconds: 3_600 })).toBe(first);
    await settle(first);
    sql.pass(1);
    expect(await sql.drain()).toEqual([second]);
  });

  it('while it runs frees its account once the attempt is over', async () => {
    const [first, second] = [await sql.addDm(account), await sql.addDm(account)];
    const { tick, settle } = await claim();
    await set(first, `status = 'cancelled'`);
    expect((await tick.claim()).rows).toEqual([]);
    await settle('retry');
    await tick.close();
    expect(await sql.drain()).toEqual([second]);
  });

  it.each([
    [
      'by a trigger of its own table',
      'a_cancel before update of body on punctual.dm_queue for each row execute function app.cancel()',
      () => database.sql(`update punctual.dm_queue set body = 'two'`),
    ],
    [
      'by a trigger of another queue’s table during that queue’s tick',
      'cancel after update of status on punctual.posts for each row execute function app.cancel_all()',
      async () => {
        await database.sql(
          `insert into punctual.posts (account_id, body, scheduled_for) values ($1, 'x', $2)`,
          [await sql.addAccount(), sql.now],
        );
        await sql.tick({ queue: 'posts' }).claim(1);
      },
    ],
  ])('stops its enrolment if it is cancelled %s', async (_, trigger, fire) => {
    await database.sql('create schema app');
    await database.sql('grant usage on schema app to service_role');
    try {
      for (const statement of [
        `create function app.cancel() returns trigger language plpgsql as $$
           begin new.status := 'cancelled'; return new; end $$`,
        `create function app.cancel_all() returns trigger language plpgsql as $$
           begin update punctual.dm_queue set status = 'cancelled'; return null; end $$`,
        `create trigger ${trigger}`,
      ])
        await database.sql(statement);
      const { id } = await enrol(['one']);
      await fire();
      expect(await talk.read(id)).toMatchObject({ phase: 'stopped' });
    } finally {
      await database.sql('drop schema app cascade');
    }
  });
});

describe('an enrolment whose message plain SQL settles', () => {
  const stopped = { phase: 'stopped', last_error: 'its message was cancelled' };
  const ends = [
    ['becomes sent', 'continues', { phase: 'in_progress', step: 2, sent_steps: 1 }, `status = 'sent'`],
    [
      'becomes failed',
      'fails',
      { phase: 'failed', last_error: 'the message of step 1 was not sent: blocked' },
      `status = 'failed', last_error = 'blocked'`,
    ],
    ['becomes cancelled', 'stops', stopped, `status = 'cancelled'`],
    ['is deleted', 'stops', stopped, null],
  ] as const;
  const cases = ['pending', 'unknown', 'sending'].flatMap((status) =>
    ends.map(([end, result, expected, change]) => [result, status, end, expected, change] as const),
  );

  it.each(cases)('%s if the message was %s and %s', async (_result, status, _end, expected, change) => {
    const { id, message } = await enrol();
    if (status === 'unknown') await talk.send('unknown');
    if (status === 'sending') await talk.claim();
    await (change ? set(message, change) : remove(message));
    expect(await talk.read(id)).toMatchObject(expected);
    if (expected.phase === 'in_progress') {
      const before = ['enrolled', 'queued 1', ...(status === 'unknown' ? ['unknown 1'] : [])];
      expect(await talk.events(id)).toEqual([...before, 'sent 1']);
    }
  });

  it('records the send once if the attempt then reports it too', async () => {
    const { id, message } = await enrol();
    const { settle } = await claim();
    await set(message, `status = 'sent'`);
    await settle('done', sent);
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'sent 1']);
  });
});

it.each([
  ['done', 'completed'],
  ['dead', 'failed'],
  ['cancelled', 'stopped'],
])('an enrolment that plain SQL ends as %s withdraws its queued message', async (status, phase) => {
  const { id } = await enrol();
  await database.sql('update punctual.enrolments set status = $1 where id = $2', [status, id]);
  expect((await talk.messages(id)).map((message) => message.status)).toEqual(['cancelled']);
  expect(await talk.send()).toEqual([]);
  expect(await talk.read(id)).toMatchObject({ phase });
});

it('a due time of -infinity gives way to a real due time when the row is rescheduled', async () => {
  const id = await sql.addDm(account, { send_at: '-infinity' });
  expect(await sql.drain('again', { delay_seconds: 60 })).toEqual([id]);
  expect(new Date((await sql.dm(id)).send_at).toISOString()).toBe(sql.at(60));
});
