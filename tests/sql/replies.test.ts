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
const question = { kind: 'question' as const, body: 'how?' };
const reminder = { after_seconds: hour, body: 'still there?', template: null };

async function enrolAnn(steps: Parameters<typeof talk.addSequence>[0], more: object = {}) {
  const sequence = await talk.addSequence(steps);
  const [id = ''] = await talk.enrol(sequence, [{ account_id: account, recipient: 'ann', ...more }]);
  return id;
}
const receive = (body: string, more: object = {}) =>
  talk.reply({ provider_account_id: 'us', recipient: 'ann', chat_id: 'chat-ann', body, ...more });
const unmatched = async () => (await talk.call('list_replies', {})).items as { id: string; body: string }[];

describe('a reply', () => {
  it('stops a sequence whose step says so, and withdraws the queued message', async () => {
    const id = await enrolAnn([{ body: 'one' }, { body: 'two' }]);
    await talk.advance();
    await talk.send();
    await talk.advance();
    await receive('no thanks');
    expect(await talk.read(id)).toMatchObject({
      phase: 'replied',
      status: 'done',
      last_reply: 'no thanks',
      sent_steps: 1,
    });
    expect(await talk.send()).toEqual([]);
    expect(await talk.events(id)).toEqual([
      'enrolled',
      'queued 1',
      'sent 1',
      'queued 2',
      'replied 1',
      'withdrawn 2',
    ]);
    expect(await unmatched()).toEqual([]);
  });

  it('that arrives while the next message is being sent lets it finish, and stops the rest', async () => {
    for (const outcome of ['done', 'retry', 'unknown']) {
      await database.reset();
      account = await sql.addAccount({ provider_account_id: 'us' });
      const id = await enrolAnn([{ body: 'one' }, { body: 'two' }, { body: 'three' }]);
      await talk.advance();
      await talk.send();
      await talk.advance();
      const { messages, tick } = await talk.claim();
      await receive('stop');
      const [{ id: message, claim_id } = { id: '', claim_id: '' }] = messages;
      await tick.settle(
        [{ id: message, claim_id, outcome, error: 'e', delay_seconds: 1, account_id: account }],
        { close: true },
      );
      if (outcome === 'unknown') await sql.resolve(message, 'pending');
      sql.pass(hour);
      expect(await talk.advance(), outcome).toEqual({});
      expect(await talk.send(), outcome).toEqual([]);
      expect(await talk.read(id), outcome).toMatchObject({
        phase: 'replied',
        sent_steps: outcome === 'done' ? 2 : 1,
      });
    }
  });

  it('before any message was sent follows the rule of the first step', async () => {
    const stopping = await enrolAnn([{ body: 'one' }]);
    const going = await enrolAnn([{ body: 'two', on_reply: 'continue' }]);
    await receive('hello');
    expect(await talk.read(stopping)).toMatchObject({ phase: 'replied' });
    expect(await talk.read(going)).toMatchObject({ phase: 'in_progress', last_reply: 'hello' });
  });

  it('answers a question, and the next step is due after its delay, but not before the reply', async () => {
    const soon = await enrolAnn([question, { body: 'next', delay_seconds: 24 * hour }]);
    await talk.advance();
    await talk.send();
    sql.pass(hour);
    await receive('fine');
    expect(await talk.read(soon)).toMatchObject({
      phase: 'in_progress',
      step: 2,
      next_step_at: sql.at(23 * hour).replace('.000Z', '+00:00'),
    });

    const late = await enrolAnn([question, { body: 'last', delay_seconds: hour }]);
    await talk.advance();
    await talk.send();
    sql.pass(30 * hour);
    await receive('fine, too');
    expect(await talk.read(late)).toMatchObject({ next_step_at: sql.now.replace('.000Z', '+00:00') });
    expect(await database.sql('select replied_steps from punctual.enrolments order by id')).toEqual([
      { replied_steps: [1] },
      { replied_steps: [1] },
    ]);
  });

  it('withdraws a queued reminder, and still counts if a reminder is being sent', async () => {
    const steps = [
      { ...question, reminder },
      { body: 'next', delay_seconds: 2 * hour },
    ];
    const id = await enrolAnn(steps);
    await talk.advance();
    await talk.send();
    sql.pass(hour);
    await talk.advance();
    await receive('fine');
    expect(await talk.send()).toEqual([]);
    expect(await talk.events(id)).toEqual([
      'enrolled',
      'queued 1',
      'sent 1',
      'reminder_queued 1',
      'replied 1',
      'withdrawn 1',
    ]);
    expect(await talk.read(id)).toMatchObject({ step: 2, message_id: null });

    await database.reset();
    account = await sql.addAccount({ provider_account_id: 'us' });
    const other = await enrolAnn(steps, { recipient: 'bob' });
    await talk.advance();
    await talk.send();
    sql.pass(hour);
    await talk.advance();
    const { messages, tick } = await talk.claim();
    await receive('fine', { recipient: 'bob', chat_id: 'chat-bob' });
    const records = messages.map(({ id, claim_id }) => ({ id, claim_id, outcome: 'done' }));
    await tick.settle(records, { close: true });
    expect(await talk.read(other)).toMatchObject({
      step: 2,
      phase: 'in_progress',
      next_step_at: sql.at(hour).replace('.000Z', '+00:00'),
    });
    expect(await talk.events(other)).toEqual([
      'enrolled',
      'queued 1',
      'sent 1',
      'reminder_queued 1',
      'replied 1',
      'reminded 1',
    ]);
  });

  it.each([
    ['unknown', 'unknown 1'],
    ['dead', 'failed 1'],
  ])('starts the next step even if the reminder that is being sent ends %s', async (outcome, event) => {
    const steps = [{ ...question, reminder }, question, { body: 'three' }];
    const id = await enrolAnn(steps);
    await talk.advance();
    await talk.send();
    sql.pass(hour);
    await talk.advance();
    const { messages, tick } = await talk.claim();
    await receive('fine');
    expect(await talk.advance()).toEqual({ again: 1 });
    const records = messages.map(({ id, claim_id }) => ({ id, claim_id, outcome, error: 'aborted' }));
    await tick.settle(records, { close: true });
    expect(await talk.read(id)).toMatchObject({ step: 2, phase: 'in_progress', last_error: null });
    expect((await talk.events(id)).slice(-3)).toEqual(['replied 1', 'queued 2', event]);
    sql.pass(hour);
    expect(await talk.send()).toEqual(['how?']);
    expect(await talk.read(id)).toMatchObject({ step: 2, phase: 'waiting_reply', sent_steps: 2 });
  });

  it('that arrives before its question is settled still answers it', async () => {
    for (const outcome of ['done', 'unknown']) {
      await database.reset();
      account = await sql.addAccount({ provider_account_id: 'us' });
      const id = await enrolAnn([
        { ...question, reminder },
        { body: 'next', delay_seconds: 10 },
      ]);
      await talk.advance();
      const { messages, tick } = await talk.claim();
      sql.pass(2);
      await receive('fine');
      expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 1 });
      const records = messages.map(({ id, claim_id }) => ({ id, claim_id, outcome, error: 'e' }));
      await tick.settle(records, { close: true });
      if (outcome === 'unknown') await sql.resolve('1', 'done');
      expect(await talk.read(id), outcome).toMatchObject({ phase: 'in_progress', step: 2 });
      sql.pass(hour);
      await talk.advance();
      expect(await talk.send()).toEqual(['next']);
    }
  });

  it('to an earlier question that arrives late answers no later question', async () => {
    const id = await enrolAnn([
      { ...question, no_reply: { after_seconds: hour, action: 'continue' } },
      { ...question, body: 'and now?' },
    ]);
    await talk.advance();
    await talk.send();
    const before = sql.now;
    sql.pass(hour);
    await talk.advance();
    await talk.send();
    await receive('late', { said_at: before });
    expect(await talk.read(id)).toMatchObject({ phase: 'waiting_reply', step: 2, last_reply: 'late' });
    await receive('in time');
    expect(await talk.read(id)).toMatchObject({ phase: 'completed', step: 2 });
  });

  it.each([
    ['that it followed', 'stop', 'continue'],
    ['that was sent last', 'continue', 'stop'],
  ])('that arrives late stops the sequence if the step %s says so', async (_, first, second) => {
    const id = await enrolAnn([
      { ...question, on_reply: first, no_reply: { after_seconds: hour, action: 'continue' } },
      { body: 'two', on_reply: second },
      { body: 'three', delay_seconds: hour },
    ]);
    await talk.advance();
    await talk.send();
    const before = sql.now;
    sql.pass(hour);
    await talk.advance();
    expect(await talk.send()).toEqual(['two']);
    await receive('no', { said_at: before });
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', sent_steps: 2 });
    expect(await talk.events(id)).toContain('replied 1');
  });

  it('to a question whose time is over counts for that question, and the next one is still sent', async () => {
    const id = await enrolAnn([
      { ...question, no_reply: { after_seconds: hour, action: 'continue' } },
      { ...question, body: 'and now?' },
    ]);
    await talk.advance();
    await talk.send();
    sql.pass(hour);
    await talk.advance();
    await receive('late');
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'sent 1', 'queued 2', 'replied 1']);
    expect(await talk.send()).toEqual(['and now?']);
    expect(await talk.read(id)).toMatchObject({ phase: 'waiting_reply', step: 2 });
    expect(await database.sql('select replied_steps from punctual.enrolments')).toEqual([
      { replied_steps: [1] },
    ]);
  });

  it('that arrives twice, or by webhook and by API, is one reply', async () => {
    const id = await enrolAnn([question, { ...question, body: 'and now?' }]);
    await talk.advance();
    await talk.send();
    await receive('fine', { message_id: 'm9' });
    await receive('fine', { message_id: 'm9' });
    const again = { p_id: id, p_reply: { message_id: 'm9', body: 'fine' } };
    expect(await talk.call('take_reply', again)).toMatchObject({ applied: false, enrolment: { step: 2 } });
    await talk.advance();
    await talk.send();
    await receive('fine', { message_id: 'm9' });
    expect(await talk.read(id)).toMatchObject({ phase: 'waiting_reply', step: 2 });
    expect(await talk.call('take_reply', { p_id: id, p_reply: { body: 'well' } })).toMatchObject({
      applied: true,
      enrolment: { phase: 'completed', last_reply: 'well' },
    });
  });

  it('by API counts in every sequence of the person, and its webhook brings nothing new', async () => {
    const first = await enrolAnn([{ body: 'one' }]);
    const second = await enrolAnn([{ body: 'two' }]);
    await talk.call('take_reply', { p_id: second, p_reply: { body: 'stop', message_id: 'm9' } });
    for (const id of [first, second]) expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
    expect(await receive('stop', { message_id: 'm9' })).toMatchObject({ new: 0 });
  });

  it('counts in every sequence of the person through that account, and in no other', async () => {
    const first = await enrolAnn([{ body: 'one' }]);
    const second = await enrolAnn([{ body: 'two' }]);
    const bob = await enrolAnn([{ body: 'three' }], { recipient: 'bob' });
    account = await sql.addAccount({ provider_account_id: 'them' });
    const elsewhere = await enrolAnn([{ body: 'four' }]);
    await receive('stop');
    for (const id of [first, second]) expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
    for (const id of [bob, elsewhere]) expect(await talk.read(id)).toMatchObject({ phase: 'in_progress' });
  });

  it('to the last message is kept, and the sequence stays completed', async () => {
    const id = await enrolAnn([{ body: 'one' }]);
    await talk.advance();
    await talk.send();
    await receive('thanks');
    await receive('really');
    expect(await talk.read(id)).toMatchObject({
      phase: 'completed',
      last_reply: 'thanks',
      replied_at: expect.any(String),
    });
    expect(await unmatched()).toEqual([]);
  });

  it('to a paused enrolment counts, but nothing is sent before it is resumed', async () => {
    const id = await enrolAnn([question, { body: 'next' }]);
    await talk.advance();
    await talk.send();
    await talk.call('pause_enrolment', { p_id: id });
    await receive('fine');
    sql.pass(hour);
    expect(await talk.advance()).toEqual({});
    expect(await talk.read(id)).toMatchObject({ step: 2, phase: 'in_progress' });
    await talk.call('resume_enrolment', { p_id: id });
    await talk.advance();
    expect(await talk.send()).toEqual(['next']);
  });

  it('to a question whose reminder failed answers it, and the sequence continues', async () => {
    const id = await enrolAnn([{ ...question, reminder }, { body: 'next' }]);
    await talk.advance();
    await talk.send();
    sql.pass(hour);
    await talk.advance();
    await talk.send('dead');
    expect(await talk.read(id)).toMatchObject({ phase: 'failed', step: 1 });
    await receive('fine');
    expect(await talk.read(id)).toMatchObject({
      phase: 'in_progress',
      status: 'pending',
      step: 2,
      last_error: null,
    });
    await talk.advance();
    expect(await talk.send()).toEqual(['next']);
  });

  it('to a sequence with a failed step follows the rule of the last step that was sent', async () => {
    const id = await enrolAnn([{ body: 'one' }, { body: 'two', on_reply: 'continue' }]);
    await talk.advance();
    await talk.send();
    await talk.advance();
    await talk.send('dead');
    await receive('stop');
    expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
  });

  it('of a person who was enrolled again does not revive the earlier enrolment', async () => {
    const sequence = await talk.addSequence([{ ...question, reminder }]);
    const people = [{ account_id: account, recipient: 'ann' }];
    const [id = ''] = await talk.enrol(sequence, people);
    await talk.advance();
    await talk.send();
    sql.pass(hour);
    await talk.advance();
    await talk.send('dead');
    const [second = ''] = await talk.enrol(sequence, people, { p_again: true });
    await receive('fine');
    expect(await talk.read(id)).toMatchObject({ phase: 'failed' });
    expect(await talk.read(second)).toMatchObject({ phase: 'in_progress', last_reply: 'fine' });
  });

  it('to a failed sequence prevents it from being resumed', async () => {
    const id = await enrolAnn([{ body: 'one' }, { body: 'two' }]);
    await talk.advance();
    await talk.send();
    await talk.advance();
    await talk.send('dead');
    await receive('never mind');
    expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
    await expect(talk.call('resume_enrolment', { p_id: id })).rejects.toMatchObject({ code: 'PT409' });
  });
});

describe('the person of a reply', () => {
  it('is found by the chat once it is known, even for earlier replies', async () => {
    const id = await enrolAnn([question, { body: 'next' }]);
    await talk.advance();
    const { messages, tick } = await talk.claim();
    sql.pass(1);
    // The network has another id for the person than the one that we wrote to.
    await receive('fine', { recipient: 'urn:ann' });
    expect(await talk.read(id)).toMatchObject({ last_reply: null });
    expect(await unmatched()).toMatchObject([{ chat_id: 'chat-ann', body: null }]);
    const result = { provider_message_id: 'm1', chat_id: 'chat-ann' };
    await tick.settle(
      messages.map(({ id, claim_id }) => ({ id, claim_id, outcome: 'done', result })),
      { close: true },
    );
    expect(await talk.read(id)).toMatchObject({
      phase: 'in_progress',
      step: 2,
      // The reply counts. Its text was not kept, because no enrolment matched it.
      last_reply: null,
      replied_at: expect.any(String),
      chat_id: 'chat-ann',
    });
    expect(await unmatched()).toEqual([]);
  });

  it('is found before the next message is queued if the reply and the chat crossed', async () => {
    const id = await enrolAnn([{ body: 'one' }, { body: 'two' }]);
    await talk.advance();
    await talk.send();
    // The webhook did not see the chat yet, and the settle did not see the reply yet.
    await receive('stop', { recipient: 'urn:ann' });
    await database.sql(`update punctual.enrolments set chat_id = 'chat-ann'`);
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.send()).toEqual([]);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await unmatched()).toEqual([]);
  });

  it('is found by the chat in every sequence of the person, as soon as each knows the chat', async () => {
    const first = await enrolAnn([{ body: 'one' }, { body: 'two' }]);
    const second = await enrolAnn([{ body: 'eins' }, { body: 'zwei' }]);
    await talk.advance();
    await receive('stop', { recipient: 'urn:ann' });
    // The first message that is settled makes the chat known.
    const sent = { result: { provider_message_id: 'm1', chat_id: 'chat-ann' } };
    expect(await talk.send('done', sent)).toEqual(['one']);
    for (const id of [first, second]) expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
    const third = await enrolAnn([{ body: 'uno' }]);
    sql.pass(1);
    await receive('once more', { recipient: 'urn:ann' });
    expect(await talk.read(third)).toMatchObject({ phase: 'replied', last_reply: 'once more' });
    expect(await talk.events(first)).toEqual(['enrolled', 'queued 1', 'sent 1', 'replied 1']);
    expect(await talk.events(second)).toEqual(['enrolled', 'queued 1', 'replied', 'withdrawn 1']);
    expect(await talk.send()).toEqual([]);
    expect(await unmatched()).toEqual([]);
  });

  it('is found once, even if the chat becomes known after the reply', async () => {
    const id = await enrolAnn([question, question, { body: 'three' }]);
    await talk.advance();
    const { messages, tick } = await talk.claim();
    sql.pass(1);
    // The recipient matches. The message is not settled yet.
    await receive('fine');
    await tick.settle(
      messages.map(({ id, claim_id }) => ({
        id,
        claim_id,
        outcome: 'done',
        result: { chat_id: 'chat-ann' },
      })),
      { close: true },
    );
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2, last_reply: 'fine' });
    expect((await talk.events(id)).filter((event) => event.startsWith('replied'))).toEqual(['replied 1']);
  });

  it('is found by the digits of a WhatsApp number, however it is written', async () => {
    account = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
    const sequence = await talk.addSequence([{ body: 'one' }], { channel: 'whatsapp' });
    const [id = ''] = await talk.enrol(sequence, [{ account_id: account, recipient: '+49 (170) 12-34' }]);
    await talk.reply({ provider_account_id: 'phone', recipient: '491701234', body: 'hi' }, 'whatsapp_cloud');
    expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
  });

  it('can be named by an operator if nothing matches the reply', async () => {
    const id = await enrolAnn([{ body: 'one' }]);
    await receive('hi', { recipient: 'who?', chat_id: 'what?' });
    const [reply] = await unmatched();
    const other = await enrolAnn([{ body: 'two' }]);
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress' });
    const args = { p_id: id, p_reply: { receipt_id: reply?.id } };
    expect(await talk.call('take_reply', args)).toMatchObject({
      applied: true,
      enrolment: { phase: 'replied', chat_id: 'what?' },
    });
    expect(await talk.read(other)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await talk.call('take_reply', args)).toMatchObject({ applied: false });
    expect(await unmatched()).toEqual([]);
    await expect(talk.call('take_reply', { p_id: id, p_reply: { receipt_id: '99' } })).rejects.toMatchObject({
      code: 'PT404',
    });
  });

  it('can be named by API with the message_id of a reply that nothing matches', async () => {
    const id = await enrolAnn([{ body: 'one' }]);
    await receive('hi', { recipient: 'who?', chat_id: 'what?', message_id: 'm7' });
    const args = { p_id: id, p_reply: { body: 'hi', message_id: 'm7' } };
    expect(await talk.call('take_reply', args)).toMatchObject({
      applied: true,
      enrolment: { phase: 'replied', last_reply: 'hi', chat_id: 'what?' },
    });
    expect(await talk.call('take_reply', args)).toMatchObject({ applied: false });
    expect(await unmatched()).toEqual([]);
  });

  it('is never somebody who was enrolled after it', async () => {
    await receive('hi');
    sql.pass(1);
    const id = await enrolAnn([{ body: 'one' }]);
    await talk.advance();
    await talk.send('done', { result: { provider_message_id: 'm', chat_id: 'chat-ann' } });
    await receive('hi again, told late', { said_at: sql.at(-60) });
    expect(await talk.read(id)).toMatchObject({ replied_at: null });
    expect(await unmatched()).toHaveLength(2);
  });
});

describe('a WhatsApp user whose number may be hidden', () => {
  const number = '491701234';
  const userId = 'DE.8642';
  const both = { recipient: number, user_id: userId };
  const hidden = { recipient: userId, user_id: userId };
  let phone: string;
  let sequence: string;
  beforeEach(async () => {
    phone = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
    sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }], { channel: 'whatsapp' });
  });

  async function enrol(recipient = '+49 170 1234', more: object = {}) {
    const [id = ''] = await talk.enrol(sequence, [{ account_id: phone, recipient }], more);
    return id;
  }
  const receiveFromUser = (more: object) =>
    talk.reply({ provider_account_id: 'phone', body: 'stop', ...more }, 'whatsapp_cloud');
  const receiveStatus = (more: object) =>
    sql.receive([
      { kind: 'status', status: 'sent', message_id: 'wamid.1', provider_account_id: 'phone', ...more },
    ]);

  it('stops the sequence with a first reply, once a status has linked the user id to the number', async () => {
    const id = await enrol();
    await talk.advance();
    await talk.send();
    await receiveStatus(both);
    await receiveFromUser(hidden);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: 'stop' });
    await talk.advance();
    expect(await talk.send()).toEqual([]);
    expect(await unmatched()).toEqual([]);
  });

  it('stops the sequence once if that status arrives after the first reply', async () => {
    const id = await enrol();
    await talk.advance();
    await talk.send();
    await receiveFromUser(hidden);
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress' });
    expect(await unmatched()).toHaveLength(1);
    await talk.advance();
    await receiveStatus(both);
    await receiveStatus({ ...both, status: 'read' });
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await talk.send()).toEqual([]);
    expect(await talk.events(id)).toEqual([
      'enrolled',
      'queued 1',
      'sent 1',
      'queued 2',
      'replied 1',
      'withdrawn 2',
    ]);
    expect(await unmatched()).toEqual([]);
  });

  it('stops the sequence with a later reply if an earlier message had the user id and the number', async () => {
    await receiveFromUser(both);
    sql.pass(40 * 24 * hour);
    const id = await enrol();
    await receiveFromUser(hidden);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
  });

  it('is not linked by a pair of somebody else, or by an invalid user id', async () => {
    await receiveFromUser({ recipient: '491709999', user_id: userId });
    await receiveFromUser({ recipient: number, user_id: '8642' });
    sql.pass(60);
    const ids = [await enrol(), await enrol('DE.7')];
    await receiveFromUser(hidden);
    await receiveFromUser({ recipient: '8642' });
    await receiveFromUser({ recipient: '7' });
    for (const id of ids) expect(await talk.read(id)).toMatchObject({ phase: 'in_progress' });
  });

  it('stops the sequence by user id or number after an enrolment by user id', async () => {
    for (const reply of [hidden, { recipient: number }]) {
      await database.sql('delete from punctual.enrolments');
      const id = await enrol(userId);
      await receiveStatus(both);
      await receiveFromUser(reply);
      expect(await talk.read(id)).toMatchObject({ phase: 'replied', recipient: userId });
    }
  });

  it('is in the sequence by user id if enrolled by number, and the other way round', async () => {
    await receiveStatus(both);
    const id = await enrol();
    expect(await enrol(userId)).toBe(id);
    await database.sql('delete from punctual.enrolments');
    const other = await enrol(userId);
    expect(await enrol()).toBe(other);
  });

  it('is enrolled once if named by number and by user id in one call', async () => {
    await receiveStatus(both);
    const people = [userId, number, 'DE.77', '491709999'].map((recipient) => ({
      account_id: phone,
      recipient,
    }));
    const [first, second, ...others] = await talk.enrol(sequence, people);
    expect(second).toBe(first);
    expect(new Set([first, ...others]).size).toBe(3);
    expect(await database.sql('select recipient from punctual.enrolments order by id')).toEqual([
      { recipient: userId },
      { recipient: 'DE.77' },
      { recipient: 491709999 },
    ]);
  });

  it('has a reply counted in a second sequence too, once a status links the user id to its number', async () => {
    const step = { body: 'one', on_reply: 'continue' };
    const enrolIn = async (recipient: string) => {
      const sequence = await talk.addSequence([step], { channel: 'whatsapp' });
      return (await talk.enrol(sequence, [{ account_id: phone, recipient }]))[0] ?? '';
    };
    const [first, second] = [await enrolIn(userId), await enrolIn(number)];
    await receiveFromUser(hidden);
    expect(await talk.events(second)).toEqual(['enrolled']);
    await receiveStatus(both);
    for (const id of [first, second]) expect(await talk.events(id)).toEqual(['enrolled', 'replied']);
  });

  it('is found by an index', async () => {
    await database.sql(
      `insert into punctual.enrolments (sequence_id, version, account_id, channel, recipient, time_zone, enrolled_at)
       select $1, 1, $2, 'whatsapp', '49171' || n, 'UTC', now() from generate_series(1001, 6000) n`,
      [sequence, phone],
    );
    await database.sql(
      `insert into punctual.whatsapp_users (user_id, number, seen_at)
       select 'DE.x' || n, '49171' || n, now() from generate_series(1001, 6000) n`,
    );
    await database.sql('analyze punctual.enrolments, punctual.whatsapp_users');
    // Counts the rows that were read without an index.
    const reads = await database.sql(
      `with before as materialized (
         select t.oid, t.relname, pg_stat_get_xact_tuples_returned(t.oid) as rows from pg_class t
          where t.oid in ('punctual.enrolments'::regclass, 'punctual.whatsapp_users'::regclass)),
       matched as materialized (
         select b.*, punctual.match_reply(jsonb_populate_record(null::punctual.receipts, $1)) as ids from before b)
       select m.relname, pg_stat_get_xact_tuples_returned(m.oid) - m.rows as read from matched m where cardinality(m.ids) = 1 order by 1`,
      [
        {
          provider: 'whatsapp_cloud',
          provider_account_id: 'phone',
          recipient: 'DE.x2500',
          received_at: '2200-01-01',
        },
      ],
    );
    expect(reads.map(({ relname, read }) => [relname, Number(read)])).toEqual([
      ['enrolments', 0],
      ['whatsapp_users', 0],
    ]);
  });

  it('has its pair of number and user id pruned with the receipts if it is in no sequence', async () => {
    await receiveStatus(both);
    await receiveStatus({ message_id: 'm2', recipient: '491701', user_id: 'DE.1' });
    await enrol();
    const prune = () => database.rpc('prune', { p_limit: 1, p_now: sql.now }) as Promise<{ more: boolean }>;
    sql.pass(31 * 24 * hour);
    const more = [await prune(), await prune(), await prune()].map((step) => step.more);
    expect(more).toEqual([true, true, false]);
    expect(await database.sql('select user_id from punctual.whatsapp_users')).toEqual([{ user_id: userId }]);
    await database.sql('delete from punctual.enrolments');
    sql.pass(31 * 24 * hour);
    await prune();
    expect(await database.sql('select from punctual.whatsapp_users')).toEqual([]);
  });
});

describe("WhatsApp's window", () => {
  it('is open for a person who wrote without the number', async () => {
    const phone = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
    const ids = [
      await sql.addDm(phone, { channel: 'whatsapp', recipient: '+49 170 1' }),
      await sql.addDm(phone, { channel: 'whatsapp', recipient: 'DE.1' }),
    ];
    await talk.reply({ provider_account_id: 'phone', recipient: 'DE.1', user_id: 'DE.1' }, 'whatsapp_cloud');
    await sql.receive([
      { kind: 'status', status: 'read', message_id: 'm', recipient: '491701', user_id: 'DE.1' },
    ]);
    const [{ facts }] = await database.sql('select punctual.read_dm_facts($1, $2) as facts', [ids, sql.now]);
    expect(ids.map((id) => facts[id].in_window)).toEqual([true, true]);
  });

  it('reaches the attempt: when the person last wrote, and whether that is less than 24 hours ago', async () => {
    account = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
    const facts = async () => {
      await sql.addDm(account, { channel: 'whatsapp', recipient: '+49 170 1' });
      const { messages, tick } = await talk.claim();
      await tick.settle(
        messages.map(({ id, claim_id }) => ({ id, claim_id, outcome: 'done' })),
        { close: true },
      );
      return messages.map((message) => message.facts);
    };
    expect(await facts()).toEqual([{ last_reply_at: null, in_window: false }]);
    const wroteAt = sql.now;
    await talk.reply({ provider_account_id: 'phone', recipient: '491701' }, 'whatsapp_cloud');
    await talk.reply(
      { provider_account_id: 'another', recipient: '491701', said_at: sql.at(9 * hour) },
      'whatsapp_cloud',
    );
    sql.pass(24 * hour - 61);
    expect(await facts()).toEqual([{ last_reply_at: wroteAt.replace('.000Z', '+00:00'), in_window: true }]);
    sql.pass(1);
    expect(await facts()).toMatchObject([{ in_window: false }]);
  });

  it('is unknown if WhatsApp accepted a message and no webhook has reported it for 1 minute', async () => {
    const [phone, other] = [
      await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' }),
      await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'other' }),
    ];
    const to = { channel: 'whatsapp', recipient: '491701', chat_id: null };
    const sent = await sql.addDm(phone, to);
    await talk.send();
    const ids = [await sql.addDm(phone, to), await sql.addDm(other, to)];
    const inWindow = async () => {
      const [{ facts }] = await database.sql('select punctual.read_dm_facts($1, $2) as facts', [
        ids,
        sql.now,
      ]);
      return ids.map((id) => facts[id].in_window);
    };
    sql.pass(59);
    expect(await inWindow()).toEqual([false, false]);
    sql.pass(1);
    expect(await inWindow()).toEqual([null, false]);
    await talk.reply({ provider_account_id: 'phone', recipient: '491701' }, 'whatsapp_cloud');
    expect(await inWindow()).toEqual([true, false]);
    await database.sql('delete from punctual.receipts');
    sql.pass(24 * hour - 60);
    expect(await inWindow()).toEqual([null, false]);
    sql.pass(1);
    expect(await inWindow()).toEqual([false, false]);
    sql.pass(-hour);
    await sql.receive([
      { kind: 'status', status: 'sent', message_id: `m-${sent}`, provider_account_id: 'phone' },
    ]);
    expect(await inWindow()).toEqual([false, false]);
  });

  it('does not reach attempts of other providers', async () => {
    await sql.addDm(account);
    const { messages } = await talk.claim();
    expect(messages).toHaveLength(1);
    expect(messages[0]).not.toHaveProperty('facts');
  });
});
