import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { conversations } from '../support/conversations';
import { exchanges } from '../support/exchanges';
import { openTestDatabase, type TestDatabase } from '../support/test-database';

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
  await database.sql('update punctual.queues set batch_limit = null');
  sql = exchanges(database);
  talk = conversations(database, sql);
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const hour = 3_600;
const person = (name: string, more: object = {}) => ({ account_id: account, recipient: name, ...more });
/** One person in one sequence. */
async function enrolOne(steps: Parameters<typeof talk.addSequence>[0], more: object = {}) {
  const sequence = await talk.addSequence(steps);
  const [id = ''] = await talk.enrol(sequence, [person('ann', more)]);
  return { sequence, id };
}

describe('a due enrolment', () => {
  it('has its message queued in the settle that advances it, and then waits for it', async () => {
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

  it('counts the next step from when the one before was really sent', async () => {
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
    expect(await talk.told(id)).toEqual([
      'enrolled',
      'queued 1',
      'sent 1',
      'queued 2',
      'sent 2',
      'completed 2',
    ]);
  });
});
