import { beforeEach, describe, expect, it } from 'vitest';
import { conversations } from '../support/conversations.ts';
import { perTest, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTest(() => conversations(database, sql));
let account: string;

beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const hour = 3_600;
const person = (name: string, more: object = {}) => ({ account_id: account, recipient: name, ...more });
/** Enrols one person in a new sequence. */
async function enrolOne(steps: Parameters<typeof talk.addSequence>[0], more: object = {}) {
  const sequence = await talk.addSequence(steps);
  const [id = ''] = await talk.enrol(sequence, [person('ann', more)]);
  return { sequence, id };
}

describe('a due enrolment', () => {
  it('queues its message in the settle that advances it, and then waits for the message', async () => {
    const { id } = await enrolOne([{ body: 'Hi {{ name }}, {{name}}!' }], {
      variables: { name: 'Ann {{x}}' },
    });
    expect(await talk.advance()).toEqual({ again: 1 });
    const [message] = await talk.messages(id);
    expect(message).toMatchObject({
      step: 1,
      status: 'pending',
      body: 'Hi Ann {{x}}, Ann {{x}}!',
      send_at: expect.any(String),
    });
    expect(await talk.read(id)).toMatchObject({
      phase: 'in_progress',
      status: 'pending',
      step: 1,
      next_step_at: null,
      waits_for: 'its message 1',
      message_id: '1',
    });
    expect(await talk.advance()).toEqual({});
    expect(await talk.messages(id)).toHaveLength(1);
  });

  it('counts the next step’s delay from when the previous step was sent', async () => {
    const { id } = await enrolOne([{ body: 'one' }, { body: 'two', delay_seconds: hour }]);
    await talk.advance();
    sql.pass(1_800);
    expect(await talk.send()).toEqual(['one']);
    expect(await talk.read(id)).toMatchObject({
      step: 2,
      next_step_at: sql.at(hour).replace('.000Z', '+00:00'),
    });
    sql.pass(hour - 1);
    expect(await talk.advance()).toEqual({});
    sql.pass(1);
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.send()).toEqual(['two']);
    expect(await talk.read(id)).toMatchObject({
      phase: 'completed',
      status: 'done',
      sent_steps: 2,
      next_step_at: null,
    });
    expect(await talk.events(id)).toEqual([
      'enrolled',
      'queued 1',
      'sent 1',
      'queued 2',
      'sent 2',
      'completed 2',
    ]);
  });

  it('waits while its message is unknown, until the outcome is known', async () => {
    const { id } = await enrolOne([{ body: 'one' }, { body: 'two' }]);
    await talk.advance();
    await talk.send('unknown');
    expect(await talk.read(id)).toMatchObject({
      phase: 'in_progress',
      next_step_at: null,
      waits_for: 'its message 1, which may have been sent',
    });
    sql.pass(10 * hour);
    expect(await talk.advance()).toEqual({});
    expect(await sql.resolve('1', 'done')).toEqual({ status: 'sent' });
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'unknown 1', 'sent 1', 'queued 2']);
  });

  it('waits for its message’s retry', async () => {
    const { id } = await enrolOne([{ body: 'one' }, { body: 'two' }]);
    await talk.advance();
    await talk.send('retry');
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', waits_for: 'its message 1' });
    sql.pass(60);
    expect(await talk.send()).toEqual(['one']);
    expect(await talk.read(id)).toMatchObject({ step: 2 });
  });

  it('fails with the reason if its message is dead, and resumes with the same step', async () => {
    const { id } = await enrolOne([{ body: 'one' }, { body: 'two' }]);
    await talk.advance();
    await talk.send();
    await talk.advance();
    await talk.send('dead');
    expect(await talk.read(id)).toMatchObject({
      phase: 'failed',
      status: 'dead',
      step: 2,
      last_error: 'the message of step 2 was not sent: refused',
    });
    await talk.call('resume_enrolment', { p_id: id });
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.send()).toEqual(['two']);
    expect(await talk.read(id)).toMatchObject({ phase: 'completed', last_error: null });
  });

  it('fails if its message expires in the queue', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    await talk.advance();
    await database.sql('update punctual.dm_queue set expires_at = $1', [sql.at(10)]);
    sql.pass(20);
    expect(await talk.send()).toEqual([]);
    expect(await talk.read(id)).toMatchObject({
      phase: 'failed',
      last_error: 'the message of step 1 was not sent: expired before it could start',
    });
  });

  it('fails if its ticks die too often', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    // Every other tick sweeps the row of the one before, and the row waits for its retry.
    for (let n = 0; n < 10; n++) {
      await sql.tick({ queue: 'enrolments' }).claim();
      sql.pass(2 * hour);
    }
    await talk.advance();
    expect(await talk.read(id)).toMatchObject({
      phase: 'failed',
      status: 'dead',
      last_error: 'the tick died while this row was running',
    });
    expect(await talk.events(id)).toEqual(['enrolled', 'failed 1']);
    expect(await talk.messages(id)).toEqual([]);
  });

  it('stops if an operator cancels its message or the enrolment itself', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    const other = await enrolOne([{ body: 'two' }]);
    await talk.advance();
    await sql.resolve('1', 'cancelled');
    expect(await talk.read(id)).toMatchObject({
      phase: 'stopped',
      status: 'cancelled',
      last_error: 'its message was cancelled',
    });
    const call = { p_queue: 'enrolments', p_id: other.id, p_decision: 'cancelled' };
    await talk.call('resolve_row', call);
    expect(await talk.read(other.id)).toMatchObject({ phase: 'stopped', status: 'cancelled' });
    expect(await talk.messages(other.id)).toMatchObject([{ status: 'cancelled' }]);
    expect(await talk.send()).toEqual([]);
  });

  it('stops if plain SQL cancels or deletes its message', async () => {
    for (const statement of [
      `update punctual.dm_queue set status = 'cancelled'`,
      'delete from punctual.dm_queue',
    ]) {
      const { id } = await enrolOne([{ body: 'one' }]);
      await talk.advance();
      await database.sql(statement);
      expect(await talk.read(id)).toMatchObject({
        phase: 'stopped',
        last_error: 'its message was cancelled',
      });
    }
  });

  it('ends with its message if plain SQL cancels or deletes it', async () => {
    for (const statement of [
      `update punctual.enrolments set status = 'cancelled' where status = 'pending'`,
      'delete from punctual.enrolments',
    ]) {
      const { id } = await enrolOne([{ body: 'one' }, { body: 'two' }]);
      await talk.advance();
      await database.sql(statement);
      expect(await talk.send()).toEqual([]);
      expect(await database.sql(`select phase from punctual.enrolments where id = $1`, [id])).toEqual(
        statement.startsWith('delete') ? [] : [{ phase: 'stopped' }],
      );
    }
  });

  it('continues if a receipt proves that its dead message was sent', async () => {
    account = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }], { channel: 'whatsapp' });
    const [id = ''] = await talk.enrol(sequence, [person('+49 170 1')]);
    await talk.advance();
    const { messages, tick } = await talk.claim();
    const [message] = messages;
    if (!message) throw new Error('nothing was claimed');
    await tick.settle([{ id: message.id, claim_id: message.claim_id, outcome: 'dead', error: 'e' }], {
      close: true,
    });
    expect(await talk.read(id)).toMatchObject({ phase: 'failed' });
    const receipt = {
      kind: 'status',
      status: 'delivered',
      message_id: 'w1',
      recipient: '491701',
      said_at: sql.now,
    };
    await sql.receive([
      { ...receipt, provider_account_id: 'phone', reference: `dm_queue/${message.id}/${message.claim_id}` },
    ]);
    await talk.send();
    expect(await talk.read(id)).toMatchObject({
      phase: 'in_progress',
      step: 2,
      sent_steps: 1,
      last_error: null,
    });
  });

  it('fails if a receipt reports that a sent step was not delivered, and withdraws the next message', async () => {
    account = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }], { channel: 'whatsapp' });
    const [id = ''] = await talk.enrol(sequence, [person('+49 170 1')]);
    await talk.advance();
    const { messages, tick } = await talk.claim();
    const [message] = messages;
    if (!message) throw new Error('nothing was claimed');
    const result = { provider_message_id: 'w1' };
    await tick.settle([{ id: message.id, claim_id: message.claim_id, outcome: 'done', result }], {
      close: true,
    });
    await talk.advance();
    const receipt = {
      kind: 'status',
      status: 'failed',
      message_id: 'w1',
      recipient: '491701',
      error: '131026: undeliverable',
    };
    await sql.receive([
      { ...receipt, provider_account_id: 'phone', reference: `dm_queue/${message.id}/${message.claim_id}` },
    ]);
    expect(await talk.send()).toEqual([]);
    expect(await talk.read(id)).toMatchObject({
      phase: 'failed',
      step: 1,
      sent_steps: 0,
      last_error: 'the message of step 1 was not sent: 131026: undeliverable',
    });
    expect(await talk.messages(id)).toMatchObject([{ status: 'failed' }, { status: 'cancelled' }]);
  });

  it('fails with the reason if its account is gone, and queues nothing', async () => {
    const { id } = await enrolOne([{ body: 'one', delay_seconds: hour }]);
    await database.sql('delete from punctual.accounts');
    sql.pass(hour);
    expect(await talk.advance()).toEqual({ dead: 1 });
    expect(await talk.read(id)).toMatchObject({
      phase: 'failed',
      last_error: 'its account is gone: enrol the person through another one',
    });
    expect(await talk.messages(id)).toEqual([]);
  });

  it('fails with the reason if a variable is gone, and blocks no other enrolment', async () => {
    const sequence = await talk.addSequence([{ body: 'Hi {{name}}' }]);
    const [ann = '', bob = ''] = await talk.enrol(sequence, [
      person('ann', { variables: { name: 'Ann' } }),
      person('bob', { variables: { name: 'Bob' } }),
    ]);
    await database.sql(`update punctual.enrolments set variables = '{}' where id = $1`, [ann]);
    expect(await talk.advance()).toEqual({ again: 1, dead: 1 });
    expect(await talk.read(ann)).toMatchObject({
      phase: 'failed',
      last_error: 'step 1 needs {{name}}, which this person lacks',
    });
    await database.sql(`update punctual.enrolments set variables = '{"name": "Ann"}' where id = $1`, [ann]);
    await talk.call('resume_enrolment', { p_id: ann });
    await talk.advance();
    expect((await talk.send()).sort()).toEqual(['Hi Bob']);
    expect(await talk.send()).toEqual(['Hi Ann']);
    expect(await talk.read(bob)).toMatchObject({ phase: 'completed' });
  });

  it('queues its message once, even if the settle is repeated', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    const tick = sql.tick({ queue: 'enrolments' });
    const { rows, claimId } = await tick.claim();
    const records = [{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'again', delay_seconds: 60 }];
    await tick.settle(records);
    await tick.settle(records);
    expect(await talk.messages(id)).toHaveLength(1);
    sql.pass(10 * hour);
    await talk.advance();
    expect(await talk.messages(id)).toHaveLength(1);
  });

  it('is neither due nor unreachable while it waits for its message, and explain_row names the message', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    await talk.advance();
    const stats = await talk.call('read_stats', { p_configured: ['unipile'] });
    const queue = stats.queues.find(({ name }: { name: string }) => name === 'enrolments');
    expect(queue).toMatchObject({ unreachable: [] });
    const explained = await talk.call('explain_row', { p_queue: 'enrolments', p_id: id });
    expect(explained.waits).toEqual([{ kind: 'event', until: null, text: 'waits for its message 1' }]);
    await database.sql('update punctual.enrolments set waits_for = null');
    const stranded = await talk.call('read_stats', { p_configured: ['unipile'] });
    expect(stranded.queues.find(({ name }: { name: string }) => name === 'enrolments').unreachable).toEqual([
      { reason: 'next_step_at is null', rows: 1 },
    ]);
  });
});

describe('a receipt', () => {
  const status = (word: string, { id, claim_id }: { id: string; claim_id: string }, more: object = {}) =>
    sql.receive(
      [
        {
          kind: 'status',
          status: word,
          message_id: `m-${id}`,
          reference: `dm_queue/${id}/${claim_id}`,
          provider_account_id: 'us',
          ...more,
        },
      ],
      'unipile',
    );
  /** Applies receipts and claims nothing. */
  const applyReceipts = () => sql.takeUnknown();
  const attempt = async (outcome: string) => {
    await talk.advance();
    const { messages, tick } = await talk.claim();
    const [message] = messages;
    if (!message) throw new Error('nothing was claimed');
    const result = outcome === 'done' ? { provider_message_id: `m-${message.id}` } : null;
    const record = {
      id: message.id,
      claim_id: message.claim_id,
      outcome,
      error: 'e',
      account_id: account,
      result,
    };
    await tick.settle([record], { close: true });
    return message;
  };

  it('of a failed step that later steps have followed changes only the timeline', async () => {
    for (const second of ['done', 'unknown']) {
      await database.reset();
      account = await sql.addAccount({ provider_account_id: 'us' });
      const { id } = await enrolOne([
        { body: 'one' },
        { body: 'two' },
        { body: 'three', delay_seconds: hour },
      ]);
      const first = await attempt('done');
      await attempt(second);
      const before = await talk.read(id);
      await status('failed', first, { error: 'undeliverable' });
      await applyReceipts();
      const { timeline, ...after } = await talk.read(id);
      const { timeline: earlier, ...expected } = before;
      expect(after, second).toEqual(expected);
      expect(timeline.at(-1)).toMatchObject({ event: 'failed', step: 1, text: 'undeliverable' });
      expect(timeline).toHaveLength(earlier.length + 1);
    }
  });

  it('of a failed last step makes a completed enrolment failed', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    const message = await attempt('done');
    await status('failed', message, { error: 'undeliverable' });
    await applyReceipts();
    expect(await talk.read(id)).toMatchObject({
      phase: 'failed',
      status: 'dead',
      sent_steps: 0,
      last_error: 'the message of step 1 was not sent: undeliverable',
    });
    await talk.call('resume_enrolment', { p_id: id });
    await talk.advance();
    expect(await talk.send()).toEqual(['one']);
  });

  it('that proves the delivery of one of a step’s two failed messages prevents a third', async () => {
    const { id } = await enrolOne([{ body: 'one' }, { body: 'two', delay_seconds: hour }]);
    const first = await attempt('dead');
    await talk.call('resume_enrolment', { p_id: id });
    await attempt('dead');
    await status('delivered', first);
    await applyReceipts();
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2, sent_steps: 1 });
  });

  it('that proves a delivery prevails even if another message of the step fails later', async () => {
    const { id } = await enrolOne([{ body: 'one' }, { body: 'two', delay_seconds: hour }]);
    const first = await attempt('dead');
    await talk.call('resume_enrolment', { p_id: id });
    await talk.advance();
    const { messages, tick } = await talk.claim();
    await status('delivered', first);
    await applyReceipts();
    await tick.settle(
      messages.map(({ id, claim_id }) => ({ id, claim_id, outcome: 'dead', error: 'e' })),
      { close: true },
    );
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2, sent_steps: 1 });
  });

  it('that proves the delivery of a failed question makes an earlier reply its answer', async () => {
    const reminder = { after_seconds: hour, body: 'rem', template: null };
    const { id } = await enrolOne([{ kind: 'question', body: 'q', reminder }, { body: 'two' }]);
    const message = await attempt('dead');
    sql.pass(60);
    await talk.reply({ provider_account_id: 'us', recipient: 'ann', body: 'yes' });
    sql.pass(60);
    await status('delivered', message);
    await applyReceipts();
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2 });
  });

  it('that proves a delivery prevails even if the attempt then reports a failure', async () => {
    const { id } = await enrolOne([{ body: 'one' }, { body: 'two', delay_seconds: hour }]);
    await talk.advance();
    const { messages, tick } = await talk.claim();
    for (const message of messages) await status('delivered', message);
    await tick.settle(
      messages.map(({ id, claim_id }) => ({ id, claim_id, outcome: 'dead', error: 'e' })),
      { close: true },
    );
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2, sent_steps: 1 });
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'sent 1']);
  });

  it('is not needed for the timeline to record a message whose tick died as unknown', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    await talk.advance();
    await talk.claim();
    sql.pass(hour);
    await talk.claim();
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'unknown 1']);
  });
});

describe('a held message', () => {
  it('is not claimed after its enrolment has stopped, and the next tick withdraws it', async () => {
    await sql.addDm(account, { body: 'another', send_at: sql.at(-60) });
    const { id } = await enrolOne([{ body: 'one' }]);
    await talk.advance();
    const { messages, tick } = await talk.claim(1);
    expect(messages).toMatchObject([{ row: { body: 'another' } }]);
    // The state after a stop that found the row locked, whose holder then rolled back.
    await database.sql(`insert into punctual.held_rows values ('dm_queue', '2')`);
    await database.sql(
      `update punctual.enrolments set phase = 'stopped', status = 'done', next_step_at = null`,
    );
    const records = messages.map(({ id, claim_id }) => ({ id, claim_id, outcome: 'done' }));
    // The account is free, and the held message is its only row.
    expect((await tick.settle(records, { want: 5 })).rows).toEqual([]);
    await tick.close();
    expect(await talk.send()).toEqual([]);
    expect(await talk.messages(id)).toMatchObject([{ status: 'cancelled' }]);
    expect(await database.sql('select * from punctual.held_rows')).toEqual([]);
  });

  it('is sent if its enrolment still needs it', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    await talk.advance();
    await database.sql(`insert into punctual.held_rows values ('dm_queue', '1')`);
    expect(await talk.send()).toEqual(['one']);
    expect(await talk.read(id)).toMatchObject({ phase: 'completed' });
  });
});

describe('sending hours', () => {
  const office = { mon: ['09:00-12:00'], tue: ['09:00-12:00'] };

  it("are in the person's time zone, and a step is neither queued nor claimed outside them", async () => {
    // Monday, 12:00 in UTC and 07:00 in New York.
    const { id } = await enrolOne([{ body: 'one', hours: office }], { time_zone: 'America/New_York' });
    expect(await talk.read(id)).toMatchObject({ next_step_at: '2026-03-02T14:00:00+00:00' });
    sql.setNow('2026-03-02T13:59:59Z');
    expect(await talk.advance()).toEqual({});
    sql.setNow('2026-03-02T14:00:00Z');
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.messages(id)).toMatchObject([{ open_until: '2026-03-02T17:00:00.000Z' }]);
    // No tick comes until the hours are over.
    sql.setNow('2026-03-02T17:00:00Z');
    expect(await talk.send()).toEqual([]);
    expect(await talk.messages(id)).toMatchObject([
      { status: 'pending', send_at: '2026-03-03T14:00:00.000Z', open_until: '2026-03-03T17:00:00.000Z' },
    ]);
    sql.setNow('2026-03-03T13:59:59Z');
    expect(await talk.send()).toEqual([]);
    sql.setNow('2026-03-03T14:00:00Z');
    expect(await talk.send()).toEqual(['one']);
  });

  it('may end between two claims of one tick', async () => {
    await enrolOne([{ body: 'one', hours: office }], { time_zone: 'America/New_York' });
    sql.setNow('2026-03-02T16:59:59Z');
    await talk.advance();
    const tick = sql.tick();
    await tick.exchange({ want: 0 });
    sql.pass(1);
    expect((await tick.claim()).rows).toEqual([]);
  });

  it('that are over when the tick comes postpone the step, and nothing is queued', async () => {
    const { id } = await enrolOne([{ body: 'one', hours: office }], { time_zone: 'America/New_York' });
    sql.setNow('2026-03-02T20:00:00Z');
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.messages(id)).toEqual([]);
    expect(await talk.read(id)).toMatchObject({
      next_step_at: '2026-03-03T14:00:00+00:00',
      phase: 'in_progress',
      step: 1,
    });
  });

  it('end at the first closed minute when clocks change', async () => {
    const closes = async (hours: object, zone: string, at: string) => {
      const [row] = await database.sql('select punctual.step_closes_at($1, $2, $3) as at', [
        JSON.stringify(hours),
        zone,
        at,
      ]);
      return row.at;
    };
    const night = { sun: ['00:00-03:30'], sat: ['22:00-24:00'] };
    // Forward: 02:00 becomes 03:00.
    expect(await closes(night, 'Europe/Berlin', '2026-03-29T00:30:00Z')).toBe('2026-03-29T01:30:00.000Z');
    // Back: 03:00 becomes 02:00.
    expect(await closes({ sun: ['00:00-02:30'] }, 'Europe/Berlin', '2026-10-24T23:00:00Z')).toBe(
      '2026-10-25T00:30:00.000Z',
    );
    expect(await closes({ sun: ['00:00-03:30'] }, 'Europe/Berlin', '2026-10-24T23:00:00Z')).toBe(
      '2026-10-25T02:30:00.000Z',
    );
    // A span to 24:00 on an ordinary day, and on the day before the change.
    expect(await closes(night, 'Europe/Berlin', '2026-03-21T21:30:00Z')).toBe('2026-03-21T23:00:00.000Z');
    expect(await closes(night, 'Europe/Berlin', '2026-03-28T21:30:00Z')).toBe('2026-03-28T23:00:00.000Z');
    expect(await closes(night, 'Europe/Berlin', '2026-03-28T12:00:00Z')).toBe('2026-03-28T12:00:00.000Z');
  });
});

describe('a question', () => {
  const question = { kind: 'question' as const, body: 'how?' };

  it('waits for its answer for ever by default', async () => {
    const { id } = await enrolOne([question, { body: 'bye' }]);
    await talk.advance();
    await talk.send();
    expect(await talk.read(id)).toMatchObject({
      phase: 'waiting_reply',
      next_step_at: null,
      waits_for: 'an answer',
      step: 1,
    });
    sql.pass(1_000 * hour);
    expect(await talk.advance()).toEqual({});
  });

  it('is followed by one reminder, and then by its no_reply action', async () => {
    const reminder = { after_seconds: hour, body: 'still there?', template: null };
    const { id } = await enrolOne([
      { ...question, reminder, no_reply: { after_seconds: 3 * hour, action: 'continue' } },
      { body: 'bye', delay_seconds: 5 * hour },
    ]);
    await talk.advance();
    await talk.send();
    sql.pass(hour);
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.send()).toEqual(['still there?']);
    expect(await talk.read(id)).toMatchObject({
      phase: 'waiting_reply',
      step: 1,
      next_step_at: sql.at(4 * hour).replace('.000Z', '+00:00'),
    });
    sql.pass(4 * hour);
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.send()).toEqual(['bye']);
    expect(await talk.events(id)).toEqual([
      'enrolled',
      'queued 1',
      'sent 1',
      'reminder_queued 1',
      'reminded 1',
      'queued 2',
      'sent 2',
      'completed 2',
    ]);
    expect(await database.sql('select reminded_steps, replied_steps from punctual.enrolments')).toEqual([
      { reminded_steps: [1], replied_steps: [] },
    ]);
  });

  it('sends no reminder if the wait is over before the reminder’s hours', async () => {
    const hours = { mon: ['09:00-13:00'], tue: ['09:00-13:00'] };
    const reminder = { after_seconds: 2 * hour, body: 'rem', template: null };
    const no_reply = { after_seconds: 4 * hour, action: 'continue' };
    const { id } = await enrolOne([{ ...question, hours, reminder, no_reply }, { body: 'bye' }]);
    await talk.advance();
    await talk.send();
    expect(await talk.read(id)).toMatchObject({
      next_action: 'advance',
      next_step_at: sql.at(4 * hour).replace('.000Z', '+00:00'),
    });
  });

  it('ends the enrolment without an answer if no_reply is stop, or if it is the last step', async () => {
    const stopping = await enrolOne([
      { ...question, no_reply: { after_seconds: hour, action: 'stop' } },
      { body: 'bye' },
    ]);
    const last = await enrolOne([{ ...question, no_reply: { after_seconds: hour, action: 'continue' } }]);
    await talk.advance();
    await talk.send();
    await talk.send();
    sql.pass(hour);
    expect(await talk.advance()).toEqual({ done: 2 });
    expect(await talk.read(stopping.id)).toMatchObject({
      phase: 'stopped',
      status: 'done',
      last_error: 'no answer',
    });
    expect(await talk.read(last.id)).toMatchObject({ phase: 'completed', status: 'done', last_error: null });
  });
});

describe('pausing', () => {
  const pause = (id: string) => talk.call('pause_enrolment', { p_id: id });
  const resume = (id: string) => talk.call('resume_enrolment', { p_id: id });

  it('holds a due step until the enrolment is resumed', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    expect(await pause(id)).toMatchObject({
      phase: 'in_progress',
      paused_at: sql.now.replace('.000Z', '+00:00'),
      waits_for: 'somebody to resume it',
    });
    expect(await talk.advance()).toEqual({});
    await pause(id);
    expect(await resume(id)).toMatchObject({ paused_at: null, waits_for: null });
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.events(id)).toEqual(['enrolled', 'paused 1', 'resumed 1', 'queued 1']);
  });

  it('withdraws a queued message, and resuming queues it again', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    await talk.advance();
    await pause(id);
    expect(await talk.send()).toEqual([]);
    await resume(id);
    await talk.advance();
    expect(await talk.send()).toEqual(['one']);
    expect(await talk.messages(id)).toMatchObject([{ status: 'cancelled' }, { status: 'sent' }]);
  });

  it('lets a running message finish, and holds it if it comes back unsent', async () => {
    for (const outcome of ['done', 'retry', 'release', 'unknown']) {
      await database.reset();
      account = await sql.addAccount();
      const { id } = await enrolOne([{ body: 'one' }, { body: 'two' }]);
      await talk.advance();
      const { messages, tick } = await talk.claim();
      await pause(id);
      const [{ id: message, claim_id } = { id: '', claim_id: '' }] = messages;
      await tick.settle(
        [{ id: message, claim_id, outcome, error: 'e', delay_seconds: 1, account_id: account }],
        { close: true },
      );
      sql.pass(hour);
      expect(await talk.send(), outcome).toEqual([]);
      expect(await talk.advance(), outcome).toEqual({});
      await resume(id);
      if (outcome === 'unknown') {
        expect(await talk.advance()).toEqual({});
        expect(await sql.resolve('1', 'pending')).toEqual({ status: 'pending' });
        expect(await talk.send()).toEqual(['one']);
        continue;
      }
      expect(await talk.advance(), outcome).toEqual({ again: 1 });
      expect(await talk.send(), outcome).toEqual([outcome === 'done' ? 'two' : 'one']);
    }
  });

  it('voids the claim of a tick that is running it', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    const tick = sql.tick({ queue: 'enrolments' });
    const { rows, claimId } = await tick.claim();
    await pause(id);
    const record = { id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'again', delay_seconds: 60 };
    const { settled } = await tick.settle([record], { close: true });
    // Not `refused`: the fence leaves the outcome out, and no constraint has to.
    expect(settled.exceptions).toMatchObject([{ verdict: 'lost' }]);
    expect(await talk.messages(id)).toEqual([]);
    expect(await talk.read(id)).toMatchObject({ status: 'pending', next_step_at: null });
  });

  it('is refused for an enrolment that is over, and so are resuming and stopping', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    await talk.advance();
    await talk.send();
    await expect(pause(id)).rejects.toMatchObject({ code: 'PT409', message: 'the enrolment is completed' });
    await expect(resume(id)).rejects.toMatchObject({ code: 'PT409' });
    await expect(talk.call('stop_enrolment', { p_id: id })).rejects.toMatchObject({ code: 'PT409' });
    await expect(pause('999')).rejects.toMatchObject({ code: 'PT404' });
  });
});

describe('stopping', () => {
  const stop = (id: string) => talk.call('stop_enrolment', { p_id: id, p_reason: 'bought', p_by: 'Ann' });

  it('withdraws a queued message, and no step follows', async () => {
    const { id } = await enrolOne([{ body: 'one' }, { body: 'two' }]);
    await talk.advance();
    expect(await stop(id)).toMatchObject({
      phase: 'stopped',
      status: 'cancelled',
      last_error: 'Ann stopped it: bought',
    });
    expect(await stop(id)).toMatchObject({ phase: 'stopped' });
    expect(await talk.send()).toEqual([]);
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'withdrawn 1', 'stopped 1']);
  });

  it('lets a running message finish, and no step follows', async () => {
    for (const outcome of ['done', 'retry', 'release', 'unknown', 'dead']) {
      await database.reset();
      account = await sql.addAccount();
      const { id } = await enrolOne([{ body: 'one' }, { body: 'two' }]);
      await talk.advance();
      const { messages, tick } = await talk.claim();
      await stop(id);
      const [{ id: message, claim_id } = { id: '', claim_id: '' }] = messages;
      await tick.settle(
        [{ id: message, claim_id, outcome, error: 'e', delay_seconds: 1, account_id: account }],
        { close: true },
      );
      if (outcome === 'unknown') await sql.resolve('1', 'pending');
      sql.pass(hour);
      expect(await talk.advance(), outcome).toEqual({});
      expect(await talk.send(), outcome).toEqual([]);
      expect(await talk.read(id), outcome).toMatchObject({ phase: 'stopped', status: 'cancelled' });
    }
  });

  it('frees the account of a message that waits for a retry', async () => {
    const { id } = await enrolOne([{ body: 'one' }]);
    await talk.advance();
    await talk.send('retry', { delay_seconds: hour });
    await sql.addDm(account, { body: 'another' });
    expect(await talk.send()).toEqual([]);
    await stop(id);
    expect(await talk.send()).toEqual(['another']);
  });
});
