import { beforeEach, describe, expect, it } from 'vitest';
import type { ClaimedMessage } from '../support/conversations.ts';
import { perTestConversations, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);

const hour = 3_600;
const one = [{ body: 'one' }];
const two = [...one, { body: 'two' }];
const twoLater = [...one, { body: 'two', delay_seconds: hour }];
const act =
  (action: string) =>
  (id: string, more: object = {}) =>
    talk.call(`${action}_enrolment`, { p_id: id, ...more });
const [pause, resume] = [act('pause'), act('resume')];
const stop = (id: string) => act('stop')(id, { p_reason: 'bought', p_by: 'Ann' });

/** Reports the status of each message by webhook. */
const report = (status: string, messages: ClaimedMessage[], error?: string) =>
  sql.receive(
    messages.map(({ id, claim_id }) => ({
      kind: 'status',
      status,
      message_id: `m-${id}`,
      reference: `dm_queue/${id}/${claim_id}`,
      provider_account_id: 'us',
      error,
    })),
    'unipile',
  );
/** Applies receipts and claims nothing. */
const applyReceipts = () => sql.takeUnknown();
async function deliver(messages: ClaimedMessage[]): Promise<void> {
  await report('delivered', messages);
  await applyReceipts();
}
/** Advances, sends with `outcome`, and returns the messages. */
async function attempt(outcome: string): Promise<ClaimedMessage[]> {
  await talk.advance();
  const { messages, settle } = await talk.claim();
  expect(messages).toHaveLength(1);
  await settle(outcome);
  return messages;
}

describe('an enrolment and its queued message', () => {
  beforeEach(async () => {
    await talk.enrolAnn(two);
    await talk.advance();
  });

  const cancel = { p_queue: 'enrolments', p_id: '1', p_decision: 'cancelled' };
  it.each([
    ['an operator cancels the message', () => sql.resolve('1', 'cancelled')],
    [
      'plain SQL cancels the message',
      () => database.sql(`update punctual.dm_queue set status = 'cancelled'`),
    ],
    ['plain SQL deletes the message', () => database.sql('delete from punctual.dm_queue')],
    ['an operator cancels the enrolment', () => talk.call('resolve_row', cancel)],
    [
      'plain SQL cancels the enrolment',
      () => database.sql(`update punctual.enrolments set status = 'cancelled'`),
    ],
    ['plain SQL deletes the enrolment', () => database.sql('delete from punctual.enrolments')],
  ])('end together if %s', async (what, end) => {
    await end();
    expect(await talk.send()).toEqual([]);
    expect(await talk.advance()).toEqual({});
    const [enrolment] = await database.sql('select phase, status, last_error from punctual.enrolments');
    const [message] = await database.sql('select status from punctual.dm_queue');
    if (!what.endsWith('deletes the enrolment'))
      expect(enrolment).toMatchObject({ phase: 'stopped', status: 'cancelled' });
    if (!what.endsWith('deletes the message')) expect(message).toEqual({ status: 'cancelled' });
    if (what.endsWith('message')) expect(enrolment.last_error).toBe('its message was cancelled');
  });
});

describe('a receipt', () => {
  it.each([
    ['the dead message', 'queued 1, failed 1, sent 1', async () => deliver(await attempt('dead'))],
    [
      'one of a step’s two dead messages',
      'queued 1, failed 1, resumed 1, queued 1, failed 1, sent 1',
      async (id: string) => {
        const first = await attempt('dead');
        await resume(id);
        await attempt('dead');
        await deliver(first);
      },
    ],
    [
      'a dead message whose step is sent again and then fails',
      'queued 1, failed 1, resumed 1, queued 1, sent 1, failed 1',
      async (id: string) => {
        const first = await attempt('dead');
        await resume(id);
        await talk.advance();
        const { settle } = await talk.claim();
        await deliver(first);
        await settle('dead');
      },
    ],
    [
      'a message whose attempt then reports a failure',
      'queued 1, sent 1',
      async () => {
        await talk.advance();
        const { messages, settle } = await talk.claim();
        await report('delivered', messages);
        await settle('dead');
      },
    ],
  ])('that proves the delivery of %s continues the sequence', async (_case, events, act) => {
    const id = await talk.enrolAnn(twoLater);
    await act(id);
    const next = { phase: 'in_progress', status: 'pending', step: 2, sent_steps: 1, last_error: null };
    expect(await talk.read(id)).toMatchObject(next);
    expect(await talk.events(id)).toEqual(['enrolled', ...events.split(', ')]);
  });

  it('that proves the delivery of a failed question makes an earlier reply its answer', async () => {
    const reminder = { after_seconds: hour, body: 'rem', template: null };
    const id = await talk.enrolAnn([{ kind: 'question', body: 'q', reminder }, ...one]);
    const messages = await attempt('dead');
    sql.pass(60);
    await talk.reply({ provider_account_id: 'us', recipient: 'ann', body: 'yes' });
    sql.pass(60);
    await deliver(messages);
    expect(await talk.read(id)).toMatchObject({ phase: 'in_progress', step: 2 });
  });

  it('that a sent step was not delivered makes the enrolment failed, and withdraws the next message', async () => {
    const id = await talk.enrolAnn(two);
    const first = await attempt('done');
    await talk.advance();
    await report('failed', first, 'undeliverable');
    expect(await talk.send()).toEqual([]);
    const last_error = 'the message of step 1 was not sent: undeliverable';
    expect(await talk.read(id)).toMatchObject({ phase: 'failed', step: 1, sent_steps: 0, last_error });
    expect(await talk.messages(id)).toMatchObject([{ status: 'failed' }, { status: 'cancelled' }]);
  });

  it('of a failed last step makes a completed enrolment failed', async () => {
    const id = await talk.enrolAnn(one);
    await report('failed', await attempt('done'), 'undeliverable');
    await applyReceipts();
    expect(await talk.read(id)).toMatchObject({ phase: 'failed', status: 'dead', sent_steps: 0 });
    await resume(id);
    expect(await talk.sendStep()).toEqual(['one']);
  });

  it.each(['done', 'unknown'])(
    'of a failed step whose next step is %s changes only the timeline',
    async (outcome) => {
      const id = await talk.enrolAnn([...two, { body: 'three', delay_seconds: hour }]);
      const first = await attempt('done');
      await attempt(outcome);
      const before = await talk.read(id);
      await report('failed', first, 'undeliverable');
      await applyReceipts();
      const failed = expect.objectContaining({ event: 'failed', step: 1, text: 'undeliverable' });
      expect(await talk.read(id)).toEqual({ ...before, timeline: [...before.timeline, failed] });
    },
  );

  it('is not needed for the timeline to record a message whose tick died as unknown', async () => {
    const id = await talk.enrolAnn(one);
    await talk.advance();
    await talk.claim();
    sql.pass(hour);
    await talk.claim();
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'unknown 1']);
  });
});

describe('a held message', () => {
  it('is not claimed after its enrolment has stopped, and the next tick withdraws it', async () => {
    await sql.addDm(talk.account, { body: 'another', send_at: sql.at(-60) });
    const id = await talk.enrolAnn(one);
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
    const id = await talk.enrolAnn(one);
    await talk.advance();
    await database.sql(`insert into punctual.held_rows values ('dm_queue', '1')`);
    expect(await talk.send()).toEqual(['one']);
    expect(await talk.read(id)).toMatchObject({ phase: 'completed' });
  });
});

describe('pausing', () => {
  it('holds a due step until the enrolment is resumed', async () => {
    const id = await talk.enrolAnn(one);
    const paused = { phase: 'in_progress', paused_at: talk.at(), waits_for: 'somebody to resume it' };
    expect(await pause(id)).toMatchObject(paused);
    expect(await talk.advance()).toEqual({});
    await pause(id);
    expect(await resume(id)).toMatchObject({ paused_at: null, waits_for: null });
    expect(await talk.advance()).toEqual({ again: 1 });
    expect(await talk.events(id)).toEqual(['enrolled', 'paused 1', 'resumed 1', 'queued 1']);
  });

  it('withdraws a queued message, and resuming queues it again', async () => {
    const id = await talk.enrolAnn(one);
    await talk.advance();
    await pause(id);
    expect(await talk.send()).toEqual([]);
    await resume(id);
    expect(await talk.sendStep()).toEqual(['one']);
    expect(await talk.messages(id)).toMatchObject([{ status: 'cancelled' }, { status: 'sent' }]);
  });

  it.each([
    ['done', 'two'],
    ['retry', 'one'],
    ['release', 'one'],
    ['unknown', 'one'],
  ])('lets a running message end as %s, and sends no more until it is resumed', async (outcome, next) => {
    const id = await talk.enrolAnn(two);
    await talk.advance();
    const { settle } = await talk.claim();
    await pause(id);
    await settle(outcome);
    sql.pass(hour);
    expect(await talk.sendStep()).toEqual([]);
    expect(await talk.advance()).toEqual({});
    await resume(id);
    expect(await talk.advance()).toEqual(outcome === 'unknown' ? {} : { again: 1 });
    if (outcome === 'unknown') await sql.resolve('1', 'pending');
    expect(await talk.send()).toEqual([next]);
  });

  it('voids the claim of a tick that is running it', async () => {
    const id = await talk.enrolAnn(one);
    const tick = sql.tick({ queue: 'enrolments' });
    const { claimId } = await tick.claim();
    await pause(id);
    const record = { id, claim_id: claimId, outcome: 'again', delay_seconds: 60 };
    const { settled } = await tick.settle([record], { close: true });
    // Not `refused`: the fence leaves the outcome out, and no constraint has to.
    expect(settled.exceptions).toMatchObject([{ verdict: 'lost' }]);
    expect(await talk.messages(id)).toEqual([]);
    expect(await talk.read(id)).toMatchObject({ status: 'pending', next_step_at: null });
  });

  it('is refused for an enrolment that is over, and so are resuming and stopping', async () => {
    const id = await talk.enrolAnn(one);
    await talk.sendStep();
    await expect(pause(id)).rejects.toMatchObject({ code: 'PT409', message: 'the enrolment is completed' });
    for (const again of [resume, stop]) await expect(again(id)).rejects.toMatchObject({ code: 'PT409' });
    await expect(pause('999')).rejects.toMatchObject({ code: 'PT404' });
  });
});

describe('stopping', () => {
  it('withdraws a queued message, and no step follows', async () => {
    const id = await talk.enrolAnn(two);
    await talk.advance();
    const stopped = { phase: 'stopped', status: 'cancelled', last_error: 'Ann stopped it: bought' };
    for (let n = 0; n < 2; n++) expect(await stop(id)).toMatchObject(stopped);
    expect(await talk.send()).toEqual([]);
    expect(await talk.events(id)).toEqual(['enrolled', 'queued 1', 'withdrawn 1', 'stopped 1']);
  });

  it.each(['done', 'retry', 'release', 'unknown', 'dead'])(
    'lets a running message end as %s, and no step follows',
    async (outcome) => {
      const id = await talk.enrolAnn(two);
      await talk.advance();
      const { settle } = await talk.claim();
      await stop(id);
      await settle(outcome);
      if (outcome === 'unknown') await sql.resolve('1', 'pending');
      sql.pass(hour);
      expect(await talk.advance()).toEqual({});
      expect(await talk.send()).toEqual([]);
      expect(await talk.read(id)).toMatchObject({ phase: 'stopped', status: 'cancelled' });
    },
  );

  it('frees the account of a message that waits for a retry', async () => {
    const id = await talk.enrolAnn(one);
    await talk.sendStep('retry', { delay_seconds: hour });
    await sql.addDm(talk.account, { body: 'another' });
    expect(await talk.send()).toEqual([]);
    await stop(id);
    expect(await talk.send()).toEqual(['another']);
  });
});
