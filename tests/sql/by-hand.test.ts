import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { conversations } from '../support/conversations.ts';
import { exchanges } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;
let talk: ReturnType<typeof conversations>;
let account: string;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  sql = exchanges(database);
  talk = conversations(database, sql);
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const set = (id: string, changes: string) =>
  database.sql(`update punctual.dm_queue set ${changes} where id = $1`, [id]);

describe('a row that somebody settles by plain SQL', () => {
  it.each(['sent', 'failed', 'cancelled'])(
    'as %s has the time of it, and goes with retention',
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

  it('keeps the time that the person gives', async () => {
    const id = await sql.addDm(account);
    await set(id, `status = 'cancelled', finished_at = '2026-03-02T10:00:00Z'`);
    expect(Date.parse((await sql.dm(id)).finished_at)).toBe(Date.parse('2026-03-02T10:00:00Z'));
  });

  it('while an attempt has it in hand is no attempt’s any more, but for the proof that it was done', async () => {
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

  it('and is made due again is due, has no end, and is given the time of its next one', async () => {
    const id = await sql.addDm(account);
    await set(id, `status = 'cancelled', finished_at = '2025-03-02T10:00:00Z'`);
    await set(id, `status = 'pending'`);
    expect((await sql.dm(id)).finished_at).toBeNull();
    expect(await sql.drain()).toEqual([id]);
  });

  it('a second time has the time of the second', async () => {
    const id = await sql.addDm(account);
    await set(id, `status = 'cancelled', finished_at = '2025-03-02T10:00:00Z'`);
    await set(id, `status = 'sent'`);
    expect(Date.parse((await sql.dm(id)).finished_at)).toBeGreaterThan(Date.parse('2026-01-01'));
  });

  it.each([
    ['is cancelled', (id: string) => set(id, `status = 'cancelled'`)],
    ['is deleted', (id: string) => database.sql('delete from punctual.dm_queue where id = $1', [id])],
  ])('holds its account no more where it was to be tried again and %s', async (_, settle) => {
    // By the clock of whoever settles.
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

  it('while it runs leaves its account free once the attempt is over', async () => {
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
      'by the table’s own trigger',
      `create trigger a_cancel before update of body on punctual.dm_queue for each row execute function app.cancel()`,
    ],
    [
      'by a trigger of a table whose tick is under way',
      `create trigger cancel after update of status on punctual.posts for each row execute function app.cancel_all()`,
    ],
  ])('is told of, where it is settled %s', async (_, trigger) => {
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

describe('a sequence whose message somebody settles by plain SQL', () => {
  const person = (name: string) => ({ account_id: account, recipient: name });
  async function enrolOne() {
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }]);
    const [id = ''] = await talk.enrol(sequence, [person('ann')]);
    await talk.advance();
    return id;
  }
  const message = async (id: string) =>
    String(((await talk.messages(id)) as unknown as { id: number }[])[0]?.id);

  it.each(['pending', 'unknown', 'sending'])('goes on where it was %s and is sent', async (was) => {
    const id = await enrolOne();
    if (was === 'unknown') await talk.send('unknown');
    if (was === 'sending') await talk.claim();
    await set(await message(id), `status = 'sent'`);
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2, sent_steps: 1 });
    expect(await talk.told(id)).toEqual([
      'enrolled',
      'queued 1',
      ...(was === 'unknown' ? ['unknown 1'] : []),
      'sent 1',
    ]);
  });

  it.each(['pending', 'unknown', 'sending'])('fails where it was %s and is failed', async (was) => {
    const id = await enrolOne();
    if (was === 'unknown') await talk.send('unknown');
    if (was === 'sending') await talk.claim();
    await set(await message(id), `status = 'failed', last_error = 'blocked'`);
    expect(await talk.read(id)).toMatchObject({
      phase: 'failed',
      last_error: 'the message of step 1 was not sent: blocked',
    });
  });

  it.each(['pending', 'unknown', 'sending'])('stops where it was %s and is cancelled', async (was) => {
    const id = await enrolOne();
    if (was === 'unknown') await talk.send('unknown');
    if (was === 'sending') await talk.claim();
    await set(await message(id), `status = 'cancelled'`);
    expect(await talk.read(id)).toMatchObject({ phase: 'stopped', last_error: 'its message was cancelled' });
  });

  it.each(['pending', 'unknown', 'sending'])('stops where it was %s and is deleted', async (was) => {
    const id = await enrolOne();
    if (was === 'unknown') await talk.send('unknown');
    if (was === 'sending') await talk.claim();
    await database.sql('delete from punctual.dm_queue where id = $1', [await message(id)]);
    expect(await talk.read(id)).toMatchObject({ phase: 'stopped', last_error: 'its message was cancelled' });
  });

  it('and then turns out to have been sent by the attempt says so once', async () => {
    const id = await enrolOne();
    const { messages, tick } = await talk.claim();
    const [one] = messages;
    await set(one?.id ?? '', `status = 'sent'`);
    const result = { provider_message_id: 'm1' };
    await tick.settle([{ id: one?.id ?? '', claim_id: one?.claim_id ?? '', outcome: 'done', result }]);
    expect(await talk.told(id)).toEqual(['enrolled', 'queued 1', 'sent 1']);
  });
});

describe('an enrolment that somebody ends by plain SQL', () => {
  it.each([
    ['done', 'completed'],
    ['dead', 'failed'],
    ['cancelled', 'stopped'],
  ])('as %s has its queued message withdrawn', async (status, phase) => {
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }]);
    const [id = ''] = await talk.enrol(sequence, [{ account_id: account, recipient: 'ann' }]);
    await talk.advance();
    await database.sql('update punctual.enrolments set status = $1 where id = $2', [status, id]);
    expect((await talk.messages(id)).map((message) => message.status)).toEqual(['cancelled']);
    expect(await talk.send()).toEqual([]);
    expect(await talk.read(id)).toMatchObject({ phase });
  });
});

describe('a due time that is none', () => {
  it('does not keep a row that goes on from having one again', async () => {
    const id = await sql.addDm(account, { send_at: '-infinity' });
    expect(await sql.drain('again', { delay_seconds: 60 })).toEqual([id]);
    expect(new Date((await sql.dm(id)).send_at).toISOString()).toBe(sql.at(60));
  });
});
