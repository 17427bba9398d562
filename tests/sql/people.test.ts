import { beforeEach, describe, expect, it } from 'vitest';
import { conversations } from '../support/conversations.ts';
import { findText } from '../support/find-text.ts';
import { perTest, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTest(() => conversations(database, sql));
let account: string;

beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
  account = await sql.addAccount({ provider_account_id: 'us' });
});

const day = 86_400;
const SECRET = 'Quokka-7431';
const columnsWith = (text = SECRET) => findText(database, text);
const receiveReply = (more: object = {}, provider = 'unipile') =>
  talk.reply(
    { provider_account_id: 'us', chat_id: 'chat-eve', recipient: 'eve', body: SECRET, ...more },
    provider,
  );
const prune = (limit = 1_000) =>
  database.rpc('prune', { p_limit: limit, p_now: sql.now }) as Promise<{ enrolments: number; more: boolean }>;

describe('the text of a message in a connected inbox', () => {
  const asReceipt = ['receipts.body'];
  const asReply = ['enrolment_events.text', 'enrolments.last_reply', 'receipts.body'];

  async function enrol(person: object, more: object = {}): Promise<string> {
    const sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }], more);
    const [id = ''] = await talk.enrol(sequence, [{ account_id: account, ...person }]);
    return id;
  }

  it.each([
    ['from a person we never wrote to', {}],
    ['from our own inbox to an unknown person', { status: 'sent' }],
    ['to an unknown account', { provider_account_id: 'strange', recipient: 'ann' }],
    ['without an account', { provider_account_id: null, recipient: 'ann' }],
    ['in a group', { recipient: null, chat_id: 'group' }],
  ])('is not kept for a message %s', async (_case, message) => {
    await enrol({ recipient: 'ann' });
    await sql.addDm(account, { recipient: 'bob' });
    await receiveReply(message);
    expect(await columnsWith()).toEqual([]);
    expect(await columnsWith('eve')).toEqual(
      'recipient' in message ? expect.anything() : ['receipts.chat_id', 'receipts.recipient'],
    );
  });

  it('is kept if the person, chat, number or user id is enrolled in a sequence', async () => {
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
      await receiveReply(message, provider);
      expect(await columnsWith(), JSON.stringify(person)).toEqual(asReply);
      expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: SECRET });
      await database.sql('delete from punctual.enrolments');
    }
  });

  it('is kept while a message of ours to the person is open, or was settled within the retention of receipts', async () => {
    const id = await sql.addDm(account, { recipient: 'eve' });
    await receiveReply();
    expect(await columnsWith()).toEqual(asReceipt);
    await sql.drain();
    sql.pass(29 * day);
    await receiveReply({ message_id: 'second', body: 'Numbat-1' });
    expect(await columnsWith('Numbat-1')).toEqual(asReceipt);
    sql.pass(2 * day);
    await receiveReply({ message_id: 'third', body: 'Numbat-2' });
    expect(await columnsWith('Numbat-2')).toEqual([]);
    expect(await sql.dm(id)).toMatchObject({ status: 'sent' });
  });

  it('is not kept if the chat is linked to an enrolment later, but the reply still stops the sequence', async () => {
    const id = await enrol({ recipient: 'ann' });
    await talk.advance();
    await receiveReply({ recipient: 'ann under another name', chat_id: 'chat-ann' });
    expect(await columnsWith()).toEqual([]);
    await talk.send('done', { result: { provider_message_id: 'm', chat_id: 'chat-ann' } });
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await talk.send()).toEqual([]);
  });
});

describe('retention of the data of an enrolment', () => {
  async function addEnrolment(name: string, steps = [{ body: 'Hi {{name}}' }]): Promise<string> {
    const sequence = await talk.addSequence(steps);
    const [id = ''] = await talk.enrol(sequence, [
      { account_id: account, recipient: `of ${name}`, variables: { name } },
    ]);
    return id;
  }

  it('deletes its variables, last reply and timeline enrolment_texts_days after its end, and still prevents a second enrolment', async () => {
    const id = await addEnrolment(SECRET);
    await talk.advance();
    await talk.send();
    await receiveReply({ recipient: `of ${SECRET}`, body: 'Numbat' });
    expect(await talk.read(id)).toMatchObject({ phase: 'completed', last_reply: 'Numbat' });
    await database.sql('update punctual.settings set enrolment_texts_days = 40');
    sql.pass(39 * day);
    expect(await prune()).toMatchObject({ enrolments: 0 });
    expect(await columnsWith()).toContain('enrolments.variables');
    sql.pass(2 * day);
    expect(await prune()).toMatchObject({ enrolments: 1, more: false });
    expect(await prune()).toMatchObject({ enrolments: 0 });
    expect(await columnsWith()).toEqual(['enrolments.person', 'enrolments.recipient']);
    expect(await columnsWith('Numbat')).toEqual([]);
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

  it('skips active enrolments, deletes a bounded number at a time, and keeps all of them if enrolment_texts_days is null', async () => {
    for (let n = 0; n < 3; n++) {
      const id = await addEnrolment(`${SECRET} ${n}`);
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

  it('prevents a failed enrolment from resuming once its texts are deleted', async () => {
    const id = await addEnrolment(SECRET);
    await talk.advance();
    await talk.send('dead');
    sql.pass(91 * day);
    await prune();
    await expect(talk.call('resume_enrolment', { p_id: id })).rejects.toMatchObject({ code: 'PT409' });

    // A later reply does not change the enrolment, and its text is kept only in the receipt.
    await database.sql(`update punctual.enrolments set action = 'remind'`);
    const before = await talk.read(id);
    await sql.addDm(account, { recipient: `of ${SECRET}` });
    await receiveReply({ recipient: `of ${SECRET}`, body: 'Bilby' });
    expect(await talk.read(id)).toEqual(before);
    expect(await columnsWith('Bilby')).toEqual(['receipts.body']);
    await expect(talk.call('take_reply', { p_id: id, p_reply: { body: SECRET } })).rejects.toMatchObject({
      code: 'PT409',
    });
  });
});

describe('forget_person', () => {
  const ada = {
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
  // biome-ignore lint/suspicious/noExplicitAny: any test data
  const receiveFromAda = (more: any = {}) =>
    talk.reply(
      {
        provider_account_id: 'wa',
        recipient: ada.digits,
        user_id: ada.user,
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
      { account_id: wa, recipient: ada.number, variables: { name: ada.name } },
    ]);
    return id;
  }

  it('leaves no text, name, number or id of the person in any column, and counts the deleted rows', async () => {
    const id = await enrolAda();
    await talk.advance();
    await talk.send();
    await receiveFromAda();
    await talk.advance();
    await sql.receive([
      {
        kind: 'status',
        status: 'delivered',
        message_id: 'm-1',
        recipient: ada.digits,
        provider_account_id: 'wa',
      },
    ]);
    await sql.addDm(wa, {
      channel: 'whatsapp',
      chat_id: null,
      recipient: ada.user,
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
      [ada.number],
    );
    for (const text of [SECRET, ada.name, ada.digits, ada.number, ada.user]) {
      expect(await columnsWith(text), text).not.toEqual([]);
    }

    // The user id is enough, because the database knows the number of the same person.
    const { deleted } = await forget({ p_recipient: ada.user });
    expect(deleted).toEqual({ enrolments: 1, events: 7, messages: 3, receipts: 2, whatsapp_users: 1 });
    for (const text of [SECRET, ada.name, ada.digits, ada.number, ada.user])
      expect(await columnsWith(text), text).toEqual([]);
    expect(await columnsWith('Numbat')).toEqual(['dm_queue.body']);
    expect(
      await database.sql(
        "select limited_addressees from punctual.pace where queue = 'dm_queue' and limited_addressees ? 'other'",
      ),
    ).not.toEqual([]);
    // The rows themselves stay.
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
    expect((await forget({ p_recipient: ada.user })).deleted).toEqual({
      enrolments: 0,
      events: 0,
      messages: 0,
      receipts: 0,
      whatsapp_users: 0,
    });
    expect(await talk.call('list_replies', {})).toEqual({ items: [], next: null });
  });

  it.each([
    ['sending', undefined],
    ['unknown', 'unknown'],
  ])(
    'stops enrolments and cancels pending messages, but deletes nothing while a message is %s',
    async (status, outcome) => {
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
      const waiting = await sql.addDm(wa, { channel: 'whatsapp', recipient: ada.digits });
      expect(await forget({ p_recipient: ada.number })).toEqual({ in_flight: { [status]: [message.id] } });
      expect(await talk.read(id)).toMatchObject({ phase: 'stopped', variables: { name: ada.name } });
      expect(await sql.dm(waiting)).toMatchObject({ status: 'cancelled' });
      if (outcome) await sql.resolve(message.id, 'failed');
      else await settle('done');
      expect(await forget({ p_recipient: ada.number })).toMatchObject({
        deleted: { enrolments: 1, messages: 2 },
      });
      expect(await columnsWith(ada.name)).toEqual([]);
    },
  );

  it('covers only the account that is named, if any, and follows a chat to the person', async () => {
    const other = await sql.addAccount({ provider_account_id: 'other' });
    for (const sender of [account, other]) {
      await sql.addDm(sender, { recipient: 'ACoEve', chat_id: 'chat-eve', body: SECRET });
      await sql.addDm(sender, {
        recipient: 'ACoEve',
        chat_id: 'later',
        body: 'by person',
        send_at: sql.at(day),
      });
      // The first chat leads to the person, and the person to the other chat.
      await sql.addDm(sender, { chat_id: 'later', body: `${SECRET} too`, send_at: sql.at(day) });
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
    for (const text of ['eve', SECRET, 'later']) expect(await columnsWith(text), text).toEqual([]);
  });

  it('prevents a late receipt from resuming the sequence', async () => {
    const id = await enrolAda();
    await talk.advance();
    await talk.send('dead');
    const [message] = await talk.messages(id);
    await forget({ p_recipient: ada.number });
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
    await forget({ p_recipient: ada.number });
    await sql.tick().exchange({ want: 5, close: true });
    expect(await talk.read(id)).toMatchObject({ phase: 'failed' });
    expect(await talk.advance()).toEqual({});
    await expect(talk.call('resume_enrolment', { p_id: id })).rejects.toMatchObject({ code: 'PT409' });
  });

  it('clears the receipts of messages to the person, whatever number they name', async () => {
    const id = await sql.addDm(wa, { channel: 'whatsapp', chat_id: null, recipient: ada.digits });
    await sql.drain('done', { result: { provider_message_id: 'wamid.1' } });
    const receipt = { kind: 'status', provider_account_id: 'wa', recipient: '5215512345678' };
    await sql.receive([
      { ...receipt, status: 'delivered', message_id: 'wamid.1' },
      { ...receipt, status: 'failed', message_id: 'wamid.0', reference: `dm_queue/${id}/an earlier claim` },
      { ...receipt, status: 'sent', message_id: 'wamid.2' },
    ]);
    expect(await forget({ p_recipient: ada.number })).toMatchObject({ deleted: { receipts: 2 } });
    expect(
      await database.sql('select message_id from punctual.receipts where recipient is not null'),
    ).toEqual([{ message_id: 'wamid.2' }]);
  });

  it('reads little more than the person’s own receipts, messages and enrolments', async () => {
    const id = await enrolAda();
    await talk.advance();
    await talk.send();
    await receiveFromAda();
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
      [ada.number],
    );
    expect(rows).toHaveLength(3);
    for (const { relation, read } of rows) expect(Number(read), relation).toBeLessThan(100);
  });

  it('refuses a call without a person, and an unknown account', async () => {
    await expect(forget({})).rejects.toMatchObject({ code: '22023' });
    await expect(forget({ p_account_id: crypto.randomUUID(), p_recipient: 'x' })).rejects.toMatchObject({
      code: 'PT404',
    });
  });
});
