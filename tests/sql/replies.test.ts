import { describe, expect, it } from 'vitest';
import type { Step } from '../support/conversations.ts';
import { perTestConversations, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);

const hour = 3_600;
const question = { kind: 'question' as const, body: 'how?' };
const reminder = { after_seconds: hour, body: 'still there?', template: null };
const brief = { ...question, no_reply: { after_seconds: hour, action: 'continue' } };
const two = [{ body: 'one' }, { body: 'two' }];

/** Enrols Ann and sends her the first step. */
async function start(steps: Step[], person: object = {}): Promise<string> {
  const id = await talk.enrolAnn(steps, person);
  await talk.sendStep();
  return id;
}
const receive = (body: string, more: object = {}) =>
  talk.reply({ provider_account_id: 'us', recipient: 'ann', chat_id: 'chat-ann', body, ...more });
const takeReply = (id: string, reply: object) => talk.call('take_reply', { p_id: id, p_reply: reply });
const unmatched = async () => (await talk.call('list_replies', {})).items as { id: string; body: string }[];
const chat = { result: { provider_message_id: 'm1', chat_id: 'chat-ann' } };

describe('a reply', () => {
  it('stops a sequence whose step says so, and withdraws the queued message', async () => {
    const id = await start(two);
    await talk.advance();
    await receive('no thanks');
    const replied = { phase: 'replied', status: 'done', last_reply: 'no thanks', sent_steps: 1 };
    expect(await talk.read(id)).toMatchObject(replied);
    expect(await talk.send()).toEqual([]);
    const events = ['enrolled', 'queued 1', 'sent 1', 'queued 2', 'replied 1', 'withdrawn 2'];
    expect(await talk.events(id)).toEqual(events);
    expect(await unmatched()).toEqual([]);
  });

  it.each([
    ['done', 2],
    ['retry', 1],
    ['unknown', 1],
  ])('lets the message that is being sent end as %s, and stops the rest', async (outcome, sent_steps) => {
    const id = await start([...two, { body: 'three' }]);
    await talk.advance();
    const { messages, settle } = await talk.claim();
    await receive('stop');
    await settle(outcome);
    if (outcome === 'unknown') await sql.resolve(messages[0]?.id ?? '', 'pending');
    sql.pass(hour);
    expect(await talk.advance()).toEqual({});
    expect(await talk.send()).toEqual([]);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', sent_steps });
  });

  it('before any message was sent follows the rule of the first step', async () => {
    const stopping = await talk.enrolAnn([{ body: 'one' }]);
    const going = await talk.enrolAnn([{ body: 'two', on_reply: 'continue' }]);
    await receive('hello');
    expect(await talk.read(stopping)).toMatchObject({ phase: 'replied' });
    expect(await talk.read(going)).toMatchObject({ phase: 'in_progress', last_reply: 'hello' });
  });

  it.each([
    ['after its delay', hour, 24 * hour, 23 * hour],
    ['at once if its delay is over', 30 * hour, hour, 0],
  ])('answers a question, and the next step is due %s', async (_when, passed, delay_seconds, wait) => {
    const id = await start([question, { body: 'next', delay_seconds }]);
    sql.pass(passed);
    await receive('fine');
    const next = { phase: 'in_progress', step: 2, next_step_at: talk.at(wait) };
    expect(await talk.read(id)).toMatchObject(next);
    const steps = await database.sql('select replied_steps from punctual.enrolments');
    expect(steps).toEqual([{ replied_steps: [1] }]);
  });

  it('withdraws a queued reminder', async () => {
    const id = await start([
      { ...question, reminder },
      { body: 'next', delay_seconds: 2 * hour },
    ]);
    sql.pass(hour);
    await talk.advance();
    await receive('fine');
    expect(await talk.send()).toEqual([]);
    expect((await talk.events(id)).slice(3)).toEqual(['reminder_queued 1', 'replied 1', 'withdrawn 1']);
    expect(await talk.read(id)).toMatchObject({ step: 2, message_id: null, next_step_at: talk.at(hour) });
  });

  it.each([
    ['done', 'reminded 1'],
    ['unknown', 'unknown 1'],
    ['dead', 'failed 1'],
  ])('starts the next step even if the reminder that is being sent ends %s', async (outcome, event) => {
    const id = await start([{ ...question, reminder }, question, { body: 'three' }]);
    sql.pass(hour);
    await talk.advance();
    const { settle } = await talk.claim();
    await receive('fine');
    expect(await talk.advance()).toEqual({ again: 1 });
    await settle(outcome);
    expect(await talk.read(id)).toMatchObject({ step: 2, phase: 'in_progress', last_error: null });
    expect((await talk.events(id)).slice(-3)).toEqual(['replied 1', 'queued 2', event]);
    sql.pass(hour);
    expect(await talk.send()).toEqual(['how?']);
    expect(await talk.read(id)).toMatchObject({ step: 2, phase: 'waiting_reply', sent_steps: 2 });
  });

  it.each(['done', 'unknown'])('that arrives before its question is %s still answers it', async (outcome) => {
    const id = await talk.enrolAnn([
      { ...question, reminder },
      { body: 'next', delay_seconds: 10 },
    ]);
    await talk.advance();
    const { settle } = await talk.claim();
    sql.pass(2);
    await receive('fine');
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 1 });
    await settle(outcome);
    if (outcome === 'unknown') await sql.resolve('1', 'done');
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2 });
    sql.pass(hour);
    expect(await talk.sendStep()).toEqual(['next']);
  });

  it('to an earlier question that arrives late answers no later question', async () => {
    const id = await start([brief, { ...question, body: 'and now?' }]);
    const before = sql.now;
    sql.pass(hour);
    await talk.sendStep();
    await receive('late', { said_at: before });
    expect(await talk.read(id)).toMatchObject({ phase: 'waiting_reply', step: 2, last_reply: 'late' });
    await receive('in time');
    expect(await talk.read(id)).toMatchObject({ phase: 'completed', step: 2 });
  });

  it.each([
    ['that it followed', 'stop', 'continue'],
    ['that was sent last', 'continue', 'stop'],
  ])('that arrives late stops the sequence if the step %s says so', async (_which, first, second) => {
    const id = await start([
      { ...brief, on_reply: first },
      { body: 'two', on_reply: second },
      { body: 'three', delay_seconds: hour },
    ]);
    const before = sql.now;
    sql.pass(hour);
    expect(await talk.sendStep()).toEqual(['two']);
    await receive('no', { said_at: before });
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', sent_steps: 2 });
    expect(await talk.events(id)).toContain('replied 1');
  });

  it('to a question whose time is over counts for that question, and the next one is still sent', async () => {
    const id = await start([brief, { ...question, body: 'and now?' }]);
    sql.pass(hour);
    await talk.advance();
    await receive('late');
    expect((await talk.events(id)).slice(3)).toEqual(['queued 2', 'replied 1']);
    expect(await talk.send()).toEqual(['and now?']);
    expect(await talk.read(id)).toMatchObject({ phase: 'waiting_reply', step: 2 });
    const steps = await database.sql('select replied_steps from punctual.enrolments');
    expect(steps).toEqual([{ replied_steps: [1] }]);
  });

  it('that arrives twice, or by webhook and by API, is one reply', async () => {
    const id = await start([question, { ...question, body: 'and now?' }]);
    await receive('fine', { message_id: 'm9' });
    await receive('fine', { message_id: 'm9' });
    const again = await takeReply(id, { message_id: 'm9', body: 'fine' });
    expect(again).toMatchObject({ applied: false, enrolment: { step: 2 } });
    await talk.sendStep();
    await receive('fine', { message_id: 'm9' });
    expect(await talk.read(id)).toMatchObject({ phase: 'waiting_reply', step: 2 });
    const other = await takeReply(id, { body: 'well' });
    expect(other).toMatchObject({ applied: true, enrolment: { phase: 'completed', last_reply: 'well' } });
  });

  it('by API counts in every sequence of the person, and its webhook brings nothing new', async () => {
    const ids = [await talk.enrolAnn([{ body: 'one' }]), await talk.enrolAnn([{ body: 'two' }])];
    await takeReply(ids[1] ?? '', { body: 'stop', message_id: 'm9' });
    for (const id of ids) expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
    expect(await receive('stop', { message_id: 'm9' })).toMatchObject({ new: 0 });
  });

  it('counts in every sequence of the person through that account, and in no other', async () => {
    const ids = [await talk.enrolAnn(two), await talk.enrolAnn(two)];
    const others = [
      await talk.enrolAnn(two, { recipient: 'bob' }),
      await talk.enrolAnn(two, { account_id: await sql.addAccount() }),
    ];
    await receive('stop');
    for (const id of ids) expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
    for (const id of others) expect(await talk.read(id)).toMatchObject({ phase: 'in_progress' });
  });

  it('to the last message is kept, and the sequence stays completed', async () => {
    const id = await start([{ body: 'one' }]);
    await receive('thanks');
    await receive('really');
    const completed = { phase: 'completed', last_reply: 'thanks', replied_at: expect.any(String) };
    expect(await talk.read(id)).toMatchObject(completed);
    expect(await unmatched()).toEqual([]);
  });

  it('to a paused enrolment counts, but nothing is sent before it is resumed', async () => {
    const id = await start([question, { body: 'next' }]);
    await talk.call('pause_enrolment', { p_id: id });
    await receive('fine');
    sql.pass(hour);
    expect(await talk.advance()).toEqual({});
    expect(await talk.read(id)).toMatchObject({ step: 2, phase: 'in_progress' });
    await talk.call('resume_enrolment', { p_id: id });
    expect(await talk.sendStep()).toEqual(['next']);
  });

  it('to a question whose reminder failed answers it, and the sequence continues', async () => {
    const id = await start([{ ...question, reminder }, { body: 'next' }]);
    sql.pass(hour);
    await talk.sendStep('dead');
    expect(await talk.read(id)).toMatchObject({ phase: 'failed', step: 1 });
    await receive('fine');
    const going = { phase: 'in_progress', status: 'pending', step: 2, last_error: null };
    expect(await talk.read(id)).toMatchObject(going);
    expect(await talk.sendStep()).toEqual(['next']);
  });

  it('to a sequence with a failed step follows the last step that was sent, and prevents resuming', async () => {
    const id = await start([{ body: 'one' }, { body: 'two', on_reply: 'continue' }]);
    await talk.sendStep('dead');
    await receive('stop');
    expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
    await expect(talk.call('resume_enrolment', { p_id: id })).rejects.toMatchObject({ code: 'PT409' });
  });

  it('of a person who was enrolled again does not revive the earlier enrolment', async () => {
    const sequence = await talk.addSequence([{ ...question, reminder }]);
    const people = [{ account_id: talk.account, recipient: 'ann' }];
    const [id = ''] = await talk.enrol(sequence, people);
    await talk.sendStep();
    sql.pass(hour);
    await talk.sendStep('dead');
    const [second = ''] = await talk.enrol(sequence, people, { p_again: true });
    await receive('fine');
    expect(await talk.read(id)).toMatchObject({ phase: 'failed' });
    expect(await talk.read(second)).toMatchObject({ phase: 'in_progress', last_reply: 'fine' });
  });
});

describe('the person of a reply', () => {
  // The network has another id for the person than the one that we wrote to.
  const stranger = { recipient: 'urn:ann' };

  it('is found by the chat once it is known, even for earlier replies', async () => {
    const id = await talk.enrolAnn([question, { body: 'next' }]);
    await talk.advance();
    const { settle } = await talk.claim();
    sql.pass(1);
    await receive('fine', stranger);
    expect(await talk.read(id)).toMatchObject({ last_reply: null });
    expect(await unmatched()).toMatchObject([{ chat_id: 'chat-ann', body: null }]);
    await settle('done', chat);
    // The reply counts. Its text was not kept, because no enrolment matched it.
    const answered = { phase: 'in_progress', step: 2, last_reply: null, replied_at: expect.any(String) };
    expect(await talk.read(id)).toMatchObject({ ...answered, chat_id: 'chat-ann' });
    expect(await unmatched()).toEqual([]);
  });

  it('is found before the next message is queued if the reply and the chat crossed', async () => {
    const id = await start(two);
    // The webhook did not see the chat yet, and the settle did not see the reply yet.
    await receive('stop', stranger);
    await database.sql(`update punctual.enrolments set chat_id = 'chat-ann'`);
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.send()).toEqual([]);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await unmatched()).toEqual([]);
  });

  it('is found by the chat in every sequence of the person, as soon as each knows the chat', async () => {
    const first = await talk.enrolAnn(two);
    const second = await talk.enrolAnn([{ body: 'eins' }, { body: 'zwei' }]);
    await talk.advance();
    await receive('stop', stranger);
    // The first message that is settled makes the chat known.
    expect(await talk.send('done', chat)).toEqual(['one']);
    for (const id of [first, second]) expect(await talk.read(id)).toMatchObject({ phase: 'replied' });
    const third = await talk.enrolAnn([{ body: 'uno' }]);
    sql.pass(1);
    await receive('once more', stranger);
    expect(await talk.read(third)).toMatchObject({ phase: 'replied', last_reply: 'once more' });
    expect(await talk.events(first)).toEqual(['enrolled', 'queued 1', 'sent 1', 'replied 1']);
    expect(await talk.events(second)).toEqual(['enrolled', 'queued 1', 'replied', 'withdrawn 1']);
    expect(await talk.send()).toEqual([]);
    expect(await unmatched()).toEqual([]);
  });

  it('is found once, even if the chat becomes known after the reply', async () => {
    const id = await talk.enrolAnn([question, question, { body: 'three' }]);
    await talk.advance();
    const { settle } = await talk.claim();
    sql.pass(1);
    // The recipient matches. The message is not settled yet.
    await receive('fine');
    await settle('done', chat);
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2, last_reply: 'fine' });
    expect((await talk.events(id)).filter((event) => event.startsWith('replied'))).toEqual(['replied 1']);
  });

  it('can be named by an operator if nothing matches the reply', async () => {
    const id = await talk.enrolAnn([{ body: 'one' }]);
    await receive('hi', { recipient: 'who?', chat_id: 'what?' });
    const [reply] = await unmatched();
    const other = await talk.enrolAnn([{ body: 'two' }]);
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress' });
    const applied = { applied: true, enrolment: { phase: 'replied', chat_id: 'what?' } };
    expect(await takeReply(id, { receipt_id: reply?.id })).toMatchObject(applied);
    expect(await talk.read(other)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await takeReply(id, { receipt_id: reply?.id })).toMatchObject({ applied: false });
    expect(await unmatched()).toEqual([]);
    await expect(takeReply(id, { receipt_id: '99' })).rejects.toMatchObject({ code: 'PT404' });
  });

  it('can be named by API with the message_id of a reply that nothing matches', async () => {
    const id = await talk.enrolAnn([{ body: 'one' }]);
    await receive('hi', { recipient: 'who?', chat_id: 'what?', message_id: 'm7' });
    const reply = { body: 'hi', message_id: 'm7' };
    const enrolment = { phase: 'replied', last_reply: 'hi', chat_id: 'what?' };
    expect(await takeReply(id, reply)).toMatchObject({ applied: true, enrolment });
    expect(await takeReply(id, reply)).toMatchObject({ applied: false });
    expect(await unmatched()).toEqual([]);
  });

  it('is never somebody who was enrolled after it', async () => {
    await receive('hi');
    sql.pass(1);
    const id = await talk.enrolAnn([{ body: 'one' }]);
    await talk.sendStep('done', chat);
    await receive('hi again, told late', { said_at: sql.at(-60) });
    expect(await talk.read(id)).toMatchObject({ replied_at: null });
    expect(await unmatched()).toHaveLength(2);
  });
});
