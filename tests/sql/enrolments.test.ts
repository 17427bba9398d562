import { beforeEach, describe, expect, it } from 'vitest';
import { perTestConversations, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);

const hour = 3_600;
const one = [{ body: 'one' }];
const two = [...one, { body: 'two' }];
const question = { kind: 'question' as const, body: 'how?' };

describe('a due enrolment', () => {
  it('queues its message in the settle that advances it, and then waits for the message', async () => {
    const variables = { name: 'Ann {{x}}' };
    const id = await talk.enrolAnn([{ body: 'Hi {{ name }}, {{name}}!' }], { variables });
    expect(await talk.advance()).toEqual({ again: 1 });
    const body = 'Hi Ann {{x}}, Ann {{x}}!';
    expect(await talk.messages(id)).toMatchObject([
      { step: 1, status: 'pending', body, send_at: expect.any(String) },
    ]);
    const waiting = { phase: 'in_progress', status: 'pending', step: 1, message_id: '1' };
    expect(await talk.read(id)).toMatchObject({ ...waiting, next_step_at: null, waits_for: 'its message 1' });
    expect(await talk.advance()).toEqual({});
    expect(await talk.messages(id)).toHaveLength(1);
  });

  it('counts the next step’s delay from when the previous step was sent', async () => {
    const id = await talk.enrolAnn([...one, { body: 'two', delay_seconds: hour }]);
    await talk.advance();
    sql.pass(1_800);
    expect(await talk.send()).toEqual(['one']);
    expect(await talk.read(id)).toMatchObject({ step: 2, next_step_at: talk.at(hour) });
    sql.pass(hour - 1);
    expect(await talk.advance()).toEqual({});
    sql.pass(1);
    expect(await talk.sendStep()).toEqual(['two']);
    const over = { phase: 'completed', status: 'done', sent_steps: 2, next_step_at: null };
    expect(await talk.read(id)).toMatchObject(over);
    const events = ['enrolled', 'queued 1', 'sent 1', 'queued 2', 'sent 2', 'completed 2'];
    expect(await talk.events(id)).toEqual(events);
  });

  it('waits while its message is unknown, until the outcome is known', async () => {
    const id = await talk.enrolAnn(two);
    await talk.sendStep('unknown');
    const waits_for = 'its message 1, which may have been sent';
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', next_step_at: null, waits_for });
    sql.pass(10 * hour);
    expect(await talk.advance()).toEqual({});
    expect(await sql.resolve('1', 'done')).toEqual({ status: 'sent' });
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'unknown 1', 'sent 1', 'queued 2']);
  });

  it('waits for its message’s retry', async () => {
    const id = await talk.enrolAnn(two);
    await talk.sendStep('retry');
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', waits_for: 'its message 1' });
    sql.pass(60);
    expect(await talk.send()).toEqual(['one']);
    expect(await talk.read(id)).toMatchObject({ step: 2 });
  });

  it('fails with the reason if its message is dead, and resumes with the same step', async () => {
    const id = await talk.enrolAnn(two);
    await talk.sendStep();
    await talk.sendStep('dead');
    const last_error = 'the message of step 2 was not sent: refused';
    expect(await talk.read(id)).toMatchObject({ phase: 'failed', status: 'dead', step: 2, last_error });
    await talk.call('resume_enrolment', { p_id: id });
    expect(await talk.sendStep()).toEqual(['two']);
    expect(await talk.read(id)).toMatchObject({ phase: 'completed', last_error: null });
  });

  it('fails if its message expires in the queue', async () => {
    const id = await talk.enrolAnn(one);
    await talk.advance();
    await database.sql('update punctual.dm_queue set expires_at = $1', [sql.at(10)]);
    sql.pass(20);
    expect(await talk.send()).toEqual([]);
    const last_error = 'the message of step 1 was not sent: expired before it could start';
    expect(await talk.read(id)).toMatchObject({ phase: 'failed', last_error });
  });

  it('fails if its ticks die too often', async () => {
    const id = await talk.enrolAnn(one);
    // Every other tick sweeps the row of the one before, and the row waits for its retry.
    for (let n = 0; n < 10; n++) {
      await sql.tick({ queue: 'enrolments' }).claim();
      sql.pass(2 * hour);
    }
    await talk.advance();
    const last_error = 'the tick died while this row was running';
    expect(await talk.read(id)).toMatchObject({ phase: 'failed', status: 'dead', last_error });
    expect(await talk.events(id)).toEqual(['enrolled', 'failed 1']);
    expect(await talk.messages(id)).toEqual([]);
  });

  it('fails with the reason if its account is gone, and queues nothing', async () => {
    const id = await talk.enrolAnn([{ body: 'one', delay_seconds: hour }]);
    await database.sql('delete from punctual.accounts');
    sql.pass(hour);
    expect(await talk.advance()).toEqual({ dead: 1 });
    const last_error = 'its account is gone: enrol the person through another one';
    expect(await talk.read(id)).toMatchObject({ phase: 'failed', last_error });
    expect(await talk.messages(id)).toEqual([]);
  });

  it('fails with the reason if a variable is gone, and blocks no other enrolment', async () => {
    const sequence = await talk.addSequence([{ body: 'Hi {{name}}' }]);
    const people = ['Ann', 'Bob'].map((name) => ({
      account_id: talk.account,
      recipient: name,
      variables: { name },
    }));
    const [ann = '', bob = ''] = await talk.enrol(sequence, people);
    const setVariables = (variables: object) =>
      database.sql('update punctual.enrolments set variables = $1 where id = $2', [variables, ann]);
    await setVariables({});
    expect(await talk.advance()).toEqual({ again: 1, dead: 1 });
    const last_error = 'step 1 needs {{name}}, which this person lacks';
    expect(await talk.read(ann)).toMatchObject({ phase: 'failed', last_error });
    await setVariables({ name: 'Ann' });
    await talk.call('resume_enrolment', { p_id: ann });
    expect(await talk.sendStep()).toEqual(['Hi Bob']);
    expect(await talk.send()).toEqual(['Hi Ann']);
    expect(await talk.read(bob)).toMatchObject({ phase: 'completed' });
  });

  it('queues its message once, even if the settle is repeated', async () => {
    const id = await talk.enrolAnn(one);
    const tick = sql.tick({ queue: 'enrolments' });
    const { claimId } = await tick.claim();
    const records = [{ id, claim_id: claimId, outcome: 'again', delay_seconds: 60 }];
    await tick.settle(records);
    await tick.settle(records);
    sql.pass(10 * hour);
    await talk.advance();
    expect(await talk.messages(id)).toHaveLength(1);
  });

  it('is neither due nor unreachable while it waits for its message, and explain_row names the message', async () => {
    const id = await talk.enrolAnn(one);
    await talk.advance();
    const unreachable = async () => {
      const { queues } = await talk.call('read_stats', { p_configured: ['unipile'] });
      return queues.find(({ name }: { name: string }) => name === 'enrolments').unreachable;
    };
    expect(await unreachable()).toEqual([]);
    const { waits } = await talk.call('explain_row', { p_queue: 'enrolments', p_id: id });
    expect(waits).toEqual([{ kind: 'event', until: null, text: 'waits for its message 1' }]);
    await database.sql('update punctual.enrolments set waits_for = null');
    expect(await unreachable()).toEqual([{ reason: 'next_step_at is null', rows: 1 }]);
  });
});

describe('sending hours', () => {
  const hours = { mon: ['09:00-12:00'], tue: ['09:00-12:00'] };
  let id: string;
  beforeEach(async () => {
    // Monday, 12:00 in UTC and 07:00 in New York.
    id = await talk.enrolAnn([{ body: 'one', hours }], { time_zone: 'America/New_York' });
  });

  it("are in the person's time zone, and a step is neither queued nor claimed outside them", async () => {
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
    sql.setNow('2026-03-02T16:59:59Z');
    await talk.advance();
    const tick = sql.tick();
    await tick.exchange({ want: 0 });
    sql.pass(1);
    expect((await tick.claim()).rows).toEqual([]);
  });

  it('that are over when the tick comes postpone the step, and nothing is queued', async () => {
    sql.setNow('2026-03-02T20:00:00Z');
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.messages(id)).toEqual([]);
    const next_step_at = '2026-03-03T14:00:00+00:00';
    expect(await talk.read(id)).toMatchObject({ next_step_at, phase: 'in_progress', step: 1 });
  });
});

describe('a question', () => {
  it('waits for its answer for ever by default', async () => {
    const id = await talk.enrolAnn([question, ...one]);
    await talk.sendStep();
    const waiting = { phase: 'waiting_reply', next_step_at: null, waits_for: 'an answer', step: 1 };
    expect(await talk.read(id)).toMatchObject(waiting);
    sql.pass(1_000 * hour);
    expect(await talk.advance()).toEqual({});
  });

  it('is followed by one reminder, and then by its no_reply action', async () => {
    const reminder = { after_seconds: hour, body: 'still there?', template: null };
    const no_reply = { after_seconds: 3 * hour, action: 'continue' };
    const id = await talk.enrolAnn([
      { ...question, reminder, no_reply },
      { body: 'bye', delay_seconds: 5 * hour },
    ]);
    await talk.sendStep();
    sql.pass(hour);
    expect(await talk.sendStep()).toEqual(['still there?']);
    const next_step_at = talk.at(4 * hour);
    expect(await talk.read(id)).toMatchObject({ phase: 'waiting_reply', step: 1, next_step_at });
    sql.pass(4 * hour);
    expect(await talk.sendStep()).toEqual(['bye']);
    const reminded = ['enrolled', 'queued 1', 'sent 1', 'reminder_queued 1', 'reminded 1'];
    expect(await talk.events(id)).toEqual([...reminded, 'queued 2', 'sent 2', 'completed 2']);
    const steps = await database.sql('select reminded_steps, replied_steps from punctual.enrolments');
    expect(steps).toEqual([{ reminded_steps: [1], replied_steps: [] }]);
  });

  it('sends no reminder if the wait is over before the reminder’s hours', async () => {
    const hours = { mon: ['09:00-13:00'], tue: ['09:00-13:00'] };
    const reminder = { after_seconds: 2 * hour, body: 'rem', template: null };
    const no_reply = { after_seconds: 4 * hour, action: 'continue' };
    const id = await talk.enrolAnn([{ ...question, hours, reminder, no_reply }, ...one]);
    await talk.sendStep();
    expect(await talk.read(id)).toMatchObject({ next_action: 'advance', next_step_at: talk.at(4 * hour) });
  });

  it.each([
    ['no_reply is stop', 'stop', one, { phase: 'stopped', last_error: 'no answer' }],
    ['it is the last step', 'continue', [], { phase: 'completed', last_error: null }],
  ])('ends the enrolment without an answer if %s', async (_case, action, following, end) => {
    const id = await talk.enrolAnn([
      { ...question, no_reply: { after_seconds: hour, action } },
      ...following,
    ]);
    await talk.sendStep();
    sql.pass(hour);
    expect(await talk.advance()).toEqual({ done: 1 });
    expect(await talk.read(id)).toMatchObject({ ...end, status: 'done' });
  });
});
