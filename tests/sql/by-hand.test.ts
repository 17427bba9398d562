import { beforeEach, describe, expect, it } from 'vitest';
import { conversations } from '../support/conversations.ts';
import { perTest, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTest(() => conversations(database, sql));
let account: string;

beforeEach(async () => {
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const set = (id: string, changes: string) =>
  database.sql(`update punctual.dm_queue set ${changes} where id = $1`, [id]);

describe('a row that plain SQL settles', () => {
  it.each(['sent', 'failed', 'cancelled'])(
    'as %s gets its finished_at, and retention deletes it',
    async (status) => {
      const id = await sql.addDm(account);
      await set(id, `status = '${status}'`);
      expect((await sql.dm(id)).finished_at).not.toBeNull();
      await database.rpc('prune', {
        p_limit: 10,
        p_now: new Date(Date.now() + 40 * 86_400_000).toISOString(),
      });
      expect(await sql.dm(id)).toBeUndefined();
    },
  );

  it('keeps the finished_at of the statement', async () => {
    const id = await sql.addDm(account);
    await set(id, `status = 'cancelled', finished_at = '2026-03-02T10:00:00Z'`);
    expect(Date.parse((await sql.dm(id)).finished_at)).toBe(Date.parse('2026-03-02T10:00:00Z'));
  });

  it('while an attempt runs accepts nothing from that attempt but proof that it was done', async () => {
    const id = await sql.addDm(account);
    const { messages, tick } = await talk.claim();
    const claim_id = messages[0]?.claim_id ?? '';
    await set(id, `status = 'cancelled'`);
    expect((await sql.dm(id)).lease_expires_at).toBeNull();
    await tick.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 1 }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'cancelled' });
    await tick.settle([{ id, claim_id, outcome: 'done', result: { provider_message_id: 'm1' } }]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent', provider_message_id: 'm1' });
  });

  it('and then makes pending again loses its finished_at and runs', async () => {
    const id = await sql.addDm(account);
    await set(id, `status = 'cancelled', finished_at = '2025-03-02T10:00:00Z'`);
    await set(id, `status = 'pending'`);
    expect((await sql.dm(id)).finished_at).toBeNull();
    expect(await sql.drain()).toEqual([id]);
  });

  it('a second time gets the finished_at of the second time', async () => {
    const id = await sql.addDm(account);
    await set(id, `status = 'cancelled', finished_at = '2025-03-02T10:00:00Z'`);
    await set(id, `status = 'sent'`);
    expect(Date.parse((await sql.dm(id)).finished_at)).toBeGreaterThan(Date.parse('2026-01-01'));
  });

  it.each([
    ['is cancelled', (id: string) => set(id, `status = 'cancelled'`)],
    ['is deleted', (id: string) => database.sql('delete from punctual.dm_queue where id = $1', [id])],
  ])('no longer holds its account for a retry once it %s', async (_, settle) => {
    // Plain SQL frees the account by the real clock.
    sql.setNow(new Date().toISOString());
    const [first = '', second] = [await sql.addDm(account), await sql.addDm(account)];
    const { messages, tick } = await talk.claim();
    const claim_id = messages[0]?.claim_id ?? '';
    const failed = { id: first, claim_id, outcome: 'retry', error: 'e', delay_seconds: 3_600 };
    await tick.settle([failed], { close: true });
    await settle(first);
    sql.pass(1);
    expect(await sql.drain()).toEqual([second]);
  });

  it('while it runs frees its account once the attempt is over', async () => {
    const [first = '', second] = [await sql.addDm(account), await sql.addDm(account)];
    const { messages, tick } = await talk.claim();
    const claim_id = messages[0]?.claim_id ?? '';
    await set(first, `status = 'cancelled'`);
    expect((await sql.tick({ id: tick.id }).claim()).rows).toEqual([]);
    const failed = { id: first, claim_id, outcome: 'retry', error: 'e', delay_seconds: 1 };
    await tick.settle([failed], { close: true });
    expect(await sql.drain()).toEqual([second]);
  });

  it.each([
    [
      'by a trigger of its own table',
      `create trigger a_cancel before update of body on punctual.dm_queue for each row execute function app.cancel()`,
    ],
    [
      'by a trigger of another queue’s table during that queue’s tick',
      `create trigger cancel after update of status on punctual.posts for each row execute function app.cancel_all()`,
    ],
  ])('stops its enrolment if it is cancelled %s', async (_, trigger) => {
    await database.sql('create schema app');
    await database.sql('grant usage on schema app to service_role');
    try {
      await database.sql(`create function app.cancel() returns trigger language plpgsql as $$
        begin new.status := 'cancelled'; return new; end $$`);
      await database.sql(`create function app.cancel_all() returns trigger language plpgsql as $$
        begin update punctual.dm_queue set status = 'cancelled'; return null; end $$`);
      await database.sql(trigger);
      const sequence = await talk.addSequence([{ body: 'one' }]);
      const [id = ''] = await talk.enrol(sequence, [{ account_id: account, recipient: 'ann' }]);
      await talk.advance();
      if (trigger.includes('a_cancel')) await database.sql(`update punctual.dm_queue set body = 'two'`);
      else {
        const other = await sql.addAccount();
        const post = `insert into punctual.posts (account_id, body, scheduled_for) values ($1, 'x', $2)`;
        await database.sql(post, [other, sql.now]);
        await sql.tick({ queue: 'posts' }).claim(1);
      }
      expect(await talk.read(id)).toMatchObject({ phase: 'stopped' });
    } finally {
      await database.sql('drop schema app cascade');
    }
  });
});

describe('an enrolment whose message plain SQL settles', () => {
  const person = (name: string) => ({ account_id: account, recipient: name });
  async function enrolOne() {
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }]);
    const [id = ''] = await talk.enrol(sequence, [person('ann')]);
    await talk.advance();
    return id;
  }
  const message = async (id: string) =>
    String(((await talk.messages(id)) as unknown as { id: number }[])[0]?.id);

  it.each(['pending', 'unknown', 'sending'])(
    'continues if the message was %s and becomes sent',
    async (status) => {
      const id = await enrolOne();
      if (status === 'unknown') await talk.send('unknown');
      if (status === 'sending') await talk.claim();
      await set(await message(id), `status = 'sent'`);
      expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2, sent_steps: 1 });
      expect(await talk.events(id)).toEqual([
        'enrolled',
        'queued 1',
        ...(status === 'unknown' ? ['unknown 1'] : []),
        'sent 1',
      ]);
    },
  );

  it.each(['pending', 'unknown', 'sending'])(
    'fails if the message was %s and becomes failed',
    async (status) => {
      const id = await enrolOne();
      if (status === 'unknown') await talk.send('unknown');
      if (status === 'sending') await talk.claim();
      await set(await message(id), `status = 'failed', last_error = 'blocked'`);
      expect(await talk.read(id)).toMatchObject({
        phase: 'failed',
        last_error: 'the message of step 1 was not sent: blocked',
      });
    },
  );

  it.each(['pending', 'unknown', 'sending'])(
    'stops if the message was %s and becomes cancelled',
    async (status) => {
      const id = await enrolOne();
      if (status === 'unknown') await talk.send('unknown');
      if (status === 'sending') await talk.claim();
      await set(await message(id), `status = 'cancelled'`);
      expect(await talk.read(id)).toMatchObject({
        phase: 'stopped',
        last_error: 'its message was cancelled',
      });
    },
  );

  it.each(['pending', 'unknown', 'sending'])('stops if the message was %s and is deleted', async (status) => {
    const id = await enrolOne();
    if (status === 'unknown') await talk.send('unknown');
    if (status === 'sending') await talk.claim();
    await database.sql('delete from punctual.dm_queue where id = $1', [await message(id)]);
    expect(await talk.read(id)).toMatchObject({ phase: 'stopped', last_error: 'its message was cancelled' });
  });

  it('records the send once if the attempt then reports it too', async () => {
    const id = await enrolOne();
    const { messages, tick } = await talk.claim();
    const [one] = messages;
    await set(one?.id ?? '', `status = 'sent'`);
    const result = { provider_message_id: 'm1' };
    await tick.settle([{ id: one?.id ?? '', claim_id: one?.claim_id ?? '', outcome: 'done', result }]);
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'sent 1']);
  });
});

describe('an enrolment that plain SQL ends', () => {
  it.each([
    ['done', 'completed'],
    ['dead', 'failed'],
    ['cancelled', 'stopped'],
  ])('as %s withdraws its queued message', async (status, phase) => {
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }]);
    const [id = ''] = await talk.enrol(sequence, [{ account_id: account, recipient: 'ann' }]);
    await talk.advance();
    await database.sql('update punctual.enrolments set status = $1 where id = $2', [status, id]);
    expect((await talk.messages(id)).map((message) => message.status)).toEqual(['cancelled']);
    expect(await talk.send()).toEqual([]);
    expect(await talk.read(id)).toMatchObject({ phase });
  });
});

describe('a due time of -infinity', () => {
  it('gives way to a real due time when the row is rescheduled', async () => {
    const id = await sql.addDm(account, { send_at: '-infinity' });
    expect(await sql.drain('again', { delay_seconds: 60 })).toEqual([id]);
    expect(new Date((await sql.dm(id)).send_at).toISOString()).toBe(sql.at(60));
  });
});
