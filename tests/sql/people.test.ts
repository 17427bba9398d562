import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { conversations } from '../support/conversations.ts';
import { exchanges } from '../support/exchanges.ts';
import { findText } from '../support/find-text.ts';
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
  await database.sql('update punctual.queues set batch_limit = null');
  sql = exchanges(database);
  talk = conversations(database, sql);
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const day = 86_400;
const SECRET = 'Quokka-7431';
const found = (text = SECRET) => findText(database, text);
const tell = (more: object = {}, provider = 'unipile') =>
  talk.reply(
    { provider_account_id: 'us', chat_id: 'chat-eve', recipient: 'eve', body: SECRET, ...more },
    provider,
  );
const prune = (limit = 1_000) =>
  database.rpc('prune', { p_limit: limit, p_now: sql.now }) as Promise<{ enrolments: number; more: boolean }>;

describe('the text of a message in a connected inbox', () => {
  const inPlaces = ['receipts.body'];
  const asReply = ['enrolment_events.text', 'enrolments.last_reply', 'receipts.body'];

  async function enrol(person: object, more: object = {}): Promise<string> {
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }], more);
    const [id = ''] = await talk.enrol(sequence, [{ account_id: account, ...person }]);
    return id;
  }

  it.each([
    ['somebody whom we never wrote to', {}],
    ['one of our own, to such a person', { status: 'sent' }],
    [
      'somebody who wrote to an account that is none of ours',
      { provider_account_id: 'strange', recipient: 'ann' },
    ],
    ['somebody who wrote to nobody who is known', { provider_account_id: null, recipient: 'ann' }],
    ['a group', { recipient: null, chat_id: 'group' }],
  ])('is kept nowhere where it is of %s', async (_whom, message) => {
    await enrol({ recipient: 'ann' });
    await sql.addDm(account, { recipient: 'bob' });
    await tell(message);
    expect(await found()).toEqual([]);
    expect(await found('eve')).toEqual(
      'recipient' in message ? expect.anything() : ['receipts.chat_id', 'receipts.recipient'],
    );
  });

  it('is kept where the person, the chat, the number or the user id is in a sequence', async () => {
    const us = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'wa' });
    for (const [person, message, provider] of [
      [{ recipient: 'eve' }, {}, 'unipile'],
      [{ chat_id: 'chat-eve' }, { recipient: null }, 'unipile'],
      [
        { recipient: '+49 151 1', account_id: us },
        { recipient: '491511', provider_account_id: 'wa' },
        'whatsapp_cloud',
      ],
      [
        { recipient: 'US.1349', account_id: us },
        { recipient: '491512', user_id: 'US.1349', provider_account_id: 'wa' },
        'whatsapp_cloud',
      ],
    ] as const) {
      await database.sql('delete from punctual.receipts');
      const id = await enrol(person, { channel: provider === 'unipile' ? 'linkedin' : 'whatsapp' });
      sql.pass(1);
      await tell(message, provider);
      expect(await found(), JSON.stringify(person)).toEqual(asReply);
      expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: SECRET });
      await database.sql('delete from punctual.enrolments');
    }
  });

  it('is kept where a message of ours to the person is open, or was settled within the days of receipts', async () => {
    const id = await sql.addDm(account, { recipient: 'eve' });
    await tell();
    expect(await found()).toEqual(inPlaces);
    await sql.drain();
    sql.pass(29 * day);
    await tell({ message_id: 'second', body: 'Numbat-1' });
    expect(await found('Numbat-1')).toEqual(inPlaces);
    sql.pass(2 * day);
    await tell({ message_id: 'third', body: 'Numbat-2' });
    expect(await found('Numbat-2')).toEqual([]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent' });
  });

  it('is gone where the chat becomes somebody’s later, and the reply stops the sequence all the same', async () => {
    const id = await enrol({ recipient: 'ann' });
    await talk.advance();
    await tell({ recipient: 'ann under another name', chat_id: 'chat-ann' });
    expect(await found()).toEqual([]);
    await talk.send('done', { result: { provider_message_id: 'm', chat_id: 'chat-ann' } });
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await talk.send()).toEqual([]);
  });
});

describe('retention of what an enrolment knows', () => {
  async function enrolled(name: string, steps = [{ body: 'Hi {{name}}' }]): Promise<string> {
    const sequence = await talk.addSequence(steps);
    const [id = ''] = await talk.enrol(sequence, [
      { account_id: account, recipient: `of ${name}`, variables: { name } },
    ]);
    return id;
  }

  it('deletes its variables, last reply and timeline so long after it ended, and nobody is enrolled twice', async () => {
    const id = await enrolled(SECRET);
    await talk.advance();
    await talk.send();
    await tell({ recipient: `of ${SECRET}`, body: 'Numbat' });
    expect(await talk.read(id)).toMatchObject({ phase: 'completed', last_reply: 'Numbat' });
    await database.sql('update punctual.settings set enrolment_texts_days = 40');
    sql.pass(39 * day);
    expect(await prune()).toMatchObject({ enrolments: 0 });
    expect(await found()).toContain('enrolments.variables');
    sql.pass(2 * day);
    expect(await prune()).toMatchObject({ enrolments: 1, more: false });
    expect(await prune()).toMatchObject({ enrolments: 0 });
    expect(await found()).toEqual(['enrolments.person', 'enrolments.recipient']);
    expect(await found('Numbat')).toEqual([]);
    expect(await talk.read(id)).toMatchObject({
      variables: {},
      timeline: [],
      phase: 'completed',
      sent_steps: 1,
    });
    const [{ sequence_id }] = await database.sql('select sequence_id from punctual.enrolments');
    const again = await talk.call('enrol_people', {
      p_sequence_id: sequence_id,
      p_people: [{ account_id: account, recipient: `of ${SECRET}`, variables: { name: 'x' } }],
    });
    expect(again.rows).toMatchObject([{ id, created: false }]);
  });

  it('leaves those that go on, takes a bounded number at a time, and keeps for ever where it is told so', async () => {
    for (let n = 0; n < 3; n++) {
      const id = await enrolled(`${SECRET} ${n}`);
      if (n > 0) await talk.call('stop_enrolment', { p_id: id });
    }
    sql.pass(400 * day);
    await database.sql('update punctual.settings set enrolment_texts_days = null');
    expect(await prune()).toMatchObject({ enrolments: 0 });
    await database.sql('update punctual.settings set enrolment_texts_days = 90');
    expect(await prune(1)).toMatchObject({ enrolments: 1, more: true });
    expect(await prune(10)).toMatchObject({ enrolments: 1 });
    expect(await prune()).toMatchObject({ enrolments: 0, more: false });
    const kept = await database.sql('select variables from punctual.enrolments order by id');
    expect(kept).toEqual([{ variables: { name: `${SECRET} 0` } }, { variables: {} }, { variables: {} }]);
  });

  it('does not let one go on that failed, once what it was to say is gone', async () => {
    const id = await enrolled(SECRET);
    await talk.advance();
    await talk.send('dead');
    sql.pass(91 * day);
    await prune();
    await expect(talk.call('resume_enrolment', { p_id: id })).rejects.toMatchObject({ code: 'PT409' });

    // An answer by webhook is nothing to it, and leaves nothing that retention would not find again.
    await database.sql(`update punctual.enrolments set action = 'remind'`);
    const before = await talk.read(id);
    await sql.addDm(account, { recipient: `of ${SECRET}` });
    await tell({ recipient: `of ${SECRET}`, body: 'Bilby' });
    expect(await talk.read(id)).toEqual(before);
    expect(await found('Bilby')).toEqual(['receipts.body']);
    await expect(talk.call('take_reply', { p_id: id, p_reply: { body: SECRET } })).rejects.toMatchObject({
      code: 'PT409',
    });
  });
});

describe('forget_person', () => {
  const who = {
    name: 'Wombat Ada',
    number: '+49 151 775533',
    digits: '49151775533',
    user: 'DE.8842',
    chat: 'chat-8842',
  };
  let wa: string;
  beforeEach(async () => {
    wa = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'wa' });
  });
  const forget = (person: object) => talk.call('forget_person', person);
  // biome-ignore lint/suspicious/noExplicitAny: whatever test data is
  const hear = (more: any = {}) =>
    talk.reply(
      {
        provider_account_id: 'wa',
        recipient: who.digits,
        user_id: who.user,
        body: `${SECRET} heard`,
        ...more,
      },
      'whatsapp_cloud',
    );

  async function enrolAda(steps: object[] = [{ body: 'Hi {{name}}' }, { body: 'two {{name}}' }]) {
    const sequence = await talk.addSequence(
      steps.map((step) => ({ on_reply: 'continue', ...step })),
      { channel: 'whatsapp' },
    );
    const [id = ''] = await talk.enrol(sequence, [
      { account_id: wa, recipient: who.number, variables: { name: who.name } },
    ]);
    return id;
  }

  it('leaves no text, name, number or id of the person in any column, and says what it deleted', async () => {
    const id = await enrolAda();
    await talk.advance();
    await talk.send();
    await hear();
    await talk.advance();
    await sql.receive([
      {
        kind: 'status',
        status: 'delivered',
        message_id: 'm-1',
        recipient: who.digits,
        provider_account_id: 'wa',
      },
    ]);
    await sql.addDm(wa, {
      channel: 'whatsapp',
      chat_id: null,
      recipient: who.user,
      body: `${SECRET} direct`,
    });
    await sql.addDm(wa, {
      channel: 'whatsapp',
      chat_id: null,
      recipient: 'DE.other',
      body: 'Numbat',
      send_at: sql.at(day),
    });
    await database.sql(
      `update punctual.pace set limited_addressees = jsonb_build_object($1::text, '{"said": "x"}'::jsonb, 'other', '{}'::jsonb)
                         where queue = 'dm_queue'`,
      [who.number],
    );
    for (const text of [SECRET, who.name, who.digits, who.number, who.user]) {
      expect(await found(text), text).not.toEqual([]);
    }

    // By the user id alone: the number is known to be the same person's.
    const { deleted } = await forget({ p_recipient: who.user });
    expect(deleted).toEqual({ enrolments: 1, events: 7, messages: 3, receipts: 2, whatsapp_users: 1 });
    for (const text of [SECRET, who.name, who.digits, who.number, who.user])
      expect(await found(text), text).toEqual([]);
    expect(await found('Numbat')).toEqual(['dm_queue.body']);
    expect(
      await database.sql(
        "select limited_addressees from punctual.pace where queue = 'dm_queue' and limited_addressees ? 'other'",
      ),
    ).not.toEqual([]);
    // That there was something stays.
    expect(await talk.read(id)).toMatchObject({
      phase: 'stopped',
      sent_steps: 1,
      recipient: null,
      timeline: [],
    });
    expect(
      await database.sql(
        `select status, provider_message_id from punctual.dm_queue where body = '' order by id`,
      ),
    ).toEqual([
      { status: 'sent', provider_message_id: 'm-1' },
      { status: 'cancelled', provider_message_id: null },
      { status: 'cancelled', provider_message_id: null },
    ]);
    expect(await talk.send()).toEqual([]);
    expect((await forget({ p_recipient: who.user })).deleted).toEqual({
      enrolments: 0,
      events: 0,
      messages: 0,
      receipts: 0,
      whatsapp_users: 0,
    });
    // Told again by the provider, it is nothing new.
    expect(await talk.call('list_replies', {})).toEqual({ items: [], next: null });
  });

  it.each([
    ['sending', undefined],
    ['unknown', 'unknown'],
  ])('ends what is under way, and deletes nothing as long as a message is %s', async (status, outcome) => {
    const id = await enrolAda();
    await talk.advance();
    const { messages, tick } = await talk.claim();
    const [message = { id: '', claim_id: '' }] = messages;
    const settle = (word: string) =>
      tick.settle(
        [
          {
            id: message.id,
            claim_id: message.claim_id,
            outcome: word,
            error: 'e',
            result: { provider_message_id: 'm' },
          },
        ],
        { close: true },
      );
    if (outcome) await settle(outcome);
    const waiting = await sql.addDm(wa, { channel: 'whatsapp', recipient: who.digits });
    expect(await forget({ p_recipient: who.number })).toEqual({ in_flight: { [status]: [message.id] } });
    expect(await talk.read(id)).toMatchObject({ phase: 'stopped', variables: { name: who.name } });
    expect(await sql.dm(waiting)).toMatchObject({ status: 'cancelled' });
    if (outcome) await sql.resolve(message.id, 'failed');
    else await settle('done');
    expect(await forget({ p_recipient: who.number })).toMatchObject({
      deleted: { enrolments: 1, messages: 2 },
    });
    expect(await found(who.name)).toEqual([]);
  });

  it('forgets of one account only, where one is named, and follows a chat to the person', async () => {
    const other = await sql.addAccount({ provider_account_id: 'other' });
    for (const of of [account, other]) {
      await sql.addDm(of, { recipient: 'ACoEve', chat_id: 'chat-eve', body: SECRET });
      await sql.addDm(of, { recipient: 'ACoEve', chat_id: 'later', body: 'by person', send_at: sql.at(day) });
      // From the first chat to the person, and on to the other chat.
      await sql.addDm(of, { chat_id: 'later', body: `${SECRET} too`, send_at: sql.at(day) });
    }
    expect(await forget({ p_account_id: account, p_chat_id: 'chat-eve' })).toMatchObject({
      deleted: { messages: 3 },
    });
    expect(
      await database.sql('select account_id, recipient from punctual.dm_queue where recipient is not null'),
    ).toEqual([
      { account_id: other, recipient: 'ACoEve' },
      { account_id: other, recipient: 'ACoEve' },
    ]);
    await forget({ p_chat_id: 'chat-eve' });
    for (const text of ['eve', SECRET, 'later']) expect(await found(text), text).toEqual([]);
  });

  it('keeps a late word about the person’s messages from bringing a sequence back', async () => {
    const id = await enrolAda();
    await talk.advance();
    await talk.send('dead');
    const [message] = await talk.messages(id);
    await forget({ p_recipient: who.number });
    const [{ claim_id }] = await database.sql('select claim_id from punctual.dm_queue');
    await sql.receive([
      {
        kind: 'status',
        status: 'delivered',
        message_id: 'late',
        provider_account_id: 'wa',
        recipient: 'another form of the number',
        reference: `dm_queue/${(message as unknown as { id: string }).id}/${claim_id}`,
      },
    ]);
    await forget({ p_recipient: who.number });
    await sql.tick().exchange({ want: 5, close: true });
    expect(await talk.read(id)).toMatchObject({ phase: 'failed' });
    expect(await talk.advance()).toEqual({});
    await expect(talk.call('resume_enrolment', { p_id: id })).rejects.toMatchObject({ code: 'PT409' });
  });

  it('empties what webhooks told of messages to the person, whatever number they name', async () => {
    const id = await sql.addDm(wa, { channel: 'whatsapp', chat_id: null, recipient: who.digits });
    await sql.drain('done', { result: { provider_message_id: 'wamid.1' } });
    const told = { kind: 'status', provider_account_id: 'wa', recipient: '5215512345678' };
    await sql.receive([
      { ...told, status: 'delivered', message_id: 'wamid.1' },
      { ...told, status: 'failed', message_id: 'wamid.0', reference: `dm_queue/${id}/an earlier claim` },
      { ...told, status: 'sent', message_id: 'wamid.2' },
    ]);
    expect(await forget({ p_recipient: who.number })).toMatchObject({ deleted: { receipts: 2 } });
    expect(
      await database.sql('select message_id from punctual.receipts where recipient is not null'),
    ).toEqual([{ message_id: 'wamid.2' }]);
  });

  it('reads no more of receipts, messages and enrolments than what is the person’s', async () => {
    const id = await enrolAda();
    await talk.advance();
    await talk.send();
    await hear();
    const { sequence_id } = await talk.read(id);
    await database.sql(
      `insert into punctual.receipts (provider, kind, status, message_id, queue, row_id, provider_account_id, chat_id, recipient, received_at)
       select 'whatsapp_cloud', 'status', s, 'other' || n, 'dm_queue', (n + 1000)::text, 'wa', 'c' || n, '4917' || n, $1
         from generate_series(1, 3000) n cross join unnest('{sent,delivered}'::text[]) s`,
      [sql.now],
    );
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, recipient, body, status, finished_at, provider_message_id)
       select $1, 'whatsapp', '4917' || n, 'b', 'sent', $2, 'other' || n from generate_series(1, 3000) n`,
      [wa, sql.now],
    );
    await database.sql(
      `insert into punctual.enrolments (sequence_id, version, account_id, channel, recipient, time_zone, enrolled_at)
       select $1, 1, $2, 'whatsapp', '4917' || n, 'UTC', $3 from generate_series(1, 3000) n`,
      [sequence_id, wa, sql.now],
    );
    await database.sql('analyze punctual.receipts, punctual.dm_queue, punctual.enrolments');
    const rows = await database.sql(
      `with before as materialized (
         select array_agg(t.relid) as relids, array_agg(t.seq_tup_read + t.idx_tup_fetch) as reads from pg_stat_xact_user_tables t
          where t.relid = any ('{punctual.receipts, punctual.dm_queue, punctual.enrolments}'::regclass[])),
       forgotten as materialized (select b.*, punctual.forget_person(null, $1) as answer from before b)
       select o.relid::regclass as relation, (
                select t.seq_tup_read + t.idx_tup_fetch from pg_stat_xact_user_tables t where t.relid = o.relid) - o.reads as read
         from forgotten f cross join unnest(f.relids, f.reads) o (relid, reads) where f.answer ? 'deleted'`,
      [who.number],
    );
    expect(rows).toHaveLength(3);
    for (const { relation, read } of rows) expect(Number(read), relation).toBeLessThan(100);
  });

  it('refuses nobody, and an account that is not there', async () => {
    await expect(forget({})).rejects.toMatchObject({ code: '22023' });
    await expect(forget({ p_account_id: crypto.randomUUID(), p_recipient: 'x' })).rejects.toMatchObject({
      code: 'PT404',
    });
  });
});
