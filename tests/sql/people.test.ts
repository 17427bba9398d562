import { beforeEach, describe, expect, it } from 'vitest';
import type { Step } from '../support/conversations.ts';
import { findText } from '../support/find-text.ts';
import { perTestConversations, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);
let wa: string;

beforeEach(async () => {
  wa = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'wa' });
});

const day = 86_400;
const secret = 'Quokka-7431';
const columnsWith = (text = secret) => findText(database, text);
const receiveReply = (more: object = {}, provider = 'unipile') =>
  talk.reply(
    { provider_account_id: 'us', chat_id: 'chat-eve', recipient: 'eve', body: secret, ...more },
    provider,
  );
const whatsapp = { channel: 'whatsapp', chat_id: null };

describe('the text of a message in a connected inbox', () => {
  const asReceipt = ['receipts.body'];
  const asReply = ['enrolment_events.text', 'enrolments.last_reply', 'receipts.body'];
  const steps = [{ body: 'one' }, { body: 'two' }];

  it.each([
    ['from a person we never wrote to', {}],
    ['from our own inbox to an unknown person', { status: 'sent' }],
    ['to an unknown account', { provider_account_id: 'strange', recipient: 'ann' }],
    ['without an account', { provider_account_id: null, recipient: 'ann' }],
    ['in a group', { recipient: null, chat_id: 'group' }],
  ])('is not kept for a message %s', async (_case, message) => {
    await talk.enrolAnn(steps);
    await sql.addDm(talk.account, { recipient: 'bob' });
    await receiveReply(message);
    expect(await columnsWith()).toEqual([]);
    const names = await columnsWith('eve');
    expect(names.filter((column) => !column.startsWith('receipts.'))).toEqual([]);
    expect(await database.sql('select from punctual.receipts')).toHaveLength(1);
  });

  it.each([
    ['person', { recipient: 'eve' }, {}],
    ['chat', { chat_id: 'chat-eve', recipient: null }, { recipient: null }],
    ['number', { recipient: '+49 151 1' }, { recipient: '491511', provider_account_id: 'wa' }],
    [
      'user id',
      { recipient: 'US.1349' },
      { recipient: '491512', user_id: 'US.1349', provider_account_id: 'wa' },
    ],
  ])('is kept if the %s is enrolled in a sequence', async (_name, person, message) => {
    const isWhatsApp = 'provider_account_id' in message;
    const sequence = await talk.addSequence(steps, { channel: isWhatsApp ? 'whatsapp' : 'linkedin' });
    const [id = ''] = await talk.enrol(sequence, [{ account_id: isWhatsApp ? wa : talk.account, ...person }]);
    sql.pass(1);
    await receiveReply(message, isWhatsApp ? 'whatsapp_cloud' : 'unipile');
    expect(await columnsWith()).toEqual(asReply);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: secret });
  });

  it('is kept while a message of ours to the person is open, or was settled within the retention of receipts', async () => {
    const id = await sql.addDm(talk.account, { recipient: 'eve' });
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
    const id = await talk.enrolAnn(steps);
    await talk.advance();
    await receiveReply({ recipient: 'ann under another name', chat_id: 'chat-ann' });
    await talk.send('done', { result: { provider_message_id: 'm', chat_id: 'chat-ann' } });
    expect(await columnsWith()).toEqual([]);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await talk.send()).toEqual([]);
  });
});

describe('retention of the data of an enrolment', () => {
  const prune = (p_limit = 1_000) => talk.call('prune', { p_limit });
  const keepDays = (days: number | null) =>
    database.sql('update punctual.settings set enrolment_texts_days = $1', [days]);
  const addEnrolment = (name = secret) =>
    talk.enrolAnn([{ body: 'Hi {{name}}' }], { recipient: `of ${name}`, variables: { name } });

  it('deletes its variables, last reply and timeline enrolment_texts_days after its end, and still prevents a second enrolment', async () => {
    const id = await addEnrolment();
    await talk.sendStep();
    await receiveReply({ recipient: `of ${secret}`, body: 'Numbat' });
    expect(await talk.read(id)).toMatchObject({ phase: 'completed', last_reply: 'Numbat' });
    await keepDays(40);
    sql.pass(39 * day);
    expect(await prune()).toMatchObject({ enrolments: 0 });
    expect(await columnsWith()).toContain('enrolments.variables');
    sql.pass(2 * day);
    expect(await prune()).toMatchObject({ enrolments: 1, more: false });
    expect(await prune()).toMatchObject({ enrolments: 0 });
    expect(await columnsWith()).toEqual(['enrolments.person', 'enrolments.recipient']);
    expect(await columnsWith('Numbat')).toEqual([]);
    const pruned = await talk.read(id);
    expect(pruned).toMatchObject({ variables: {}, timeline: [], phase: 'completed', sent_steps: 1 });
    const again = { account_id: talk.account, recipient: `of ${secret}`, variables: { name: 'x' } };
    expect(await talk.enrol(pruned.sequence_id, [again])).toEqual([id]);
  });

  it('skips active enrolments, deletes a bounded number at a time, and keeps all of them if enrolment_texts_days is null', async () => {
    const ids = [await addEnrolment('a'), await addEnrolment('b'), await addEnrolment('c')];
    for (const p_id of ids.slice(1)) await talk.call('stop_enrolment', { p_id });
    sql.pass(400 * day);
    await keepDays(null);
    expect(await prune()).toMatchObject({ enrolments: 0 });
    await keepDays(90);
    expect(await prune(1)).toMatchObject({ enrolments: 1, more: true });
    expect(await prune(10)).toMatchObject({ enrolments: 1 });
    expect(await prune()).toMatchObject({ enrolments: 0, more: false });
    const kept = await database.sql('select variables from punctual.enrolments order by id');
    expect(kept).toEqual([{ variables: { name: 'a' } }, { variables: {} }, { variables: {} }]);
  });

  it('prevents a failed enrolment from resuming once its texts are deleted', async () => {
    const id = await addEnrolment();
    await talk.sendStep('dead');
    sql.pass(91 * day);
    await prune();
    const refused = { code: 'PT409' };
    await expect(talk.call('resume_enrolment', { p_id: id })).rejects.toMatchObject(refused);

    // A later reply does not change the enrolment, and its text is kept only in the receipt.
    await database.sql(`update punctual.enrolments set action = 'remind'`);
    const before = await talk.read(id);
    await sql.addDm(talk.account, { recipient: `of ${secret}` });
    await receiveReply({ recipient: `of ${secret}`, body: 'Bilby' });
    expect(await talk.read(id)).toEqual(before);
    expect(await columnsWith('Bilby')).toEqual(['receipts.body']);
    const byHand = { p_id: id, p_reply: { body: secret } };
    await expect(talk.call('take_reply', byHand)).rejects.toMatchObject(refused);
  });
});

describe('forget_person', () => {
  const ada = { name: 'Wombat Ada', number: '+49 151 775533', digits: '49151775533', user: 'DE.8842' };
  const forget = (person: object) => talk.call('forget_person', person);
  const receiveFromAda = () => {
    const from = { provider_account_id: 'wa', recipient: ada.digits, user_id: ada.user };
    return talk.reply({ ...from, body: `${secret} heard` }, 'whatsapp_cloud');
  };
  const report = (status: string, message_id: string, more: object) =>
    sql.receive([{ kind: 'status', status, message_id, provider_account_id: 'wa', ...more }]);

  async function enrolAda(): Promise<string> {
    const steps: Step[] = [{ body: 'Hi {{name}}' }, { body: 'two {{name}}' }];
    const sequence = await talk.addSequence(
      steps.map((step) => ({ on_reply: 'continue', ...step })),
      { channel: 'whatsapp' },
    );
    const person = { account_id: wa, recipient: ada.number, variables: { name: ada.name } };
    const [id = ''] = await talk.enrol(sequence, [person]);
    return id;
  }

  it('leaves no text, name, number or id of the person in any column, and counts the deleted rows', async () => {
    const id = await enrolAda();
    await talk.sendStep();
    await receiveFromAda();
    await talk.advance();
    await report('delivered', 'm-1', { recipient: ada.digits });
    await sql.addDm(wa, { ...whatsapp, recipient: ada.user, body: `${secret} direct` });
    await sql.addDm(wa, { ...whatsapp, recipient: 'DE.other', body: 'Numbat', send_at: sql.at(day) });
    await database.sql(
      `update punctual.pace set limited_addressees = jsonb_build_object($1::text, '{"said": "x"}'::jsonb, 'other', '{}'::jsonb)
        where queue = 'dm_queue'`,
      [ada.number],
    );
    const texts = [secret, ...Object.values(ada)];
    for (const text of texts) expect(await columnsWith(text), text).not.toEqual([]);

    // The user id is enough, because the database knows the number of the same person.
    const { deleted } = await forget({ p_recipient: ada.user });
    expect(deleted).toEqual({ enrolments: 1, events: 7, messages: 3, receipts: 2, whatsapp_users: 1 });
    for (const text of texts) expect(await columnsWith(text), text).toEqual([]);
    expect(await columnsWith('Numbat')).toEqual(['dm_queue.body']);
    const limited = await database.sql(`select from punctual.pace where limited_addressees ? 'other'`);
    expect(limited).not.toEqual([]);
    // The rows themselves stay.
    const stopped = { phase: 'stopped', sent_steps: 1, recipient: null, timeline: [] };
    expect(await talk.read(id)).toMatchObject(stopped);
    const rows = await database.sql(
      `select status, provider_message_id from punctual.dm_queue where body = '' order by id`,
    );
    expect(rows).toEqual([
      { status: 'sent', provider_message_id: 'm-1' },
      { status: 'cancelled', provider_message_id: null },
      { status: 'cancelled', provider_message_id: null },
    ]);
    expect(await talk.send()).toEqual([]);
    const nothing = { enrolments: 0, events: 0, messages: 0, receipts: 0, whatsapp_users: 0 };
    expect((await forget({ p_recipient: ada.user })).deleted).toEqual(nothing);
    expect(await talk.call('list_replies', {})).toEqual({ items: [], next: null });
  });

  it('deletes what providers said about the person, and the error groups of these texts alone', async () => {
    for (const recipient of [ada.user, 'DE.other']) {
      await sql.addDm(wa, { ...whatsapp, recipient });
      const tick = sql.tick();
      const { rows, claimId: claim_id } = await tick.claim(1);
      const failure = { error: 'nobody is called Quokka', answer: `{"to":"${ada.user}"}` };
      const other = { error: 'no answer', answer: '<html>' };
      const told = recipient === ada.user ? failure : other;
      const records = rows.map(({ id }) => ({ id, claim_id, outcome: 'dead', account_id: wa, ...told }));
      await tick.settle(records, { close: true });
    }
    expect(await columnsWith('Quokka')).toContain('error_groups.text');
    expect(await columnsWith(ada.user)).toContain('history.answer');
    await forget({ p_recipient: ada.user });
    for (const text of ['Quokka', ada.user]) expect(await columnsWith(text)).toEqual([]);
    expect(await columnsWith('no answer')).toContain('error_groups.text');
  });

  it.each(['sending', 'unknown'])(
    'stops enrolments and cancels pending messages, but deletes nothing while a message is %s',
    async (status) => {
      const id = await enrolAda();
      await talk.advance();
      const { messages, settle } = await talk.claim();
      if (status === 'unknown') await settle('unknown');
      const waiting = await sql.addDm(wa, { channel: 'whatsapp', recipient: ada.digits });
      const [message = { id: '' }] = messages;
      expect(await forget({ p_recipient: ada.number })).toEqual({ in_flight: { [status]: [message.id] } });
      expect(await talk.read(id)).toMatchObject({ phase: 'stopped', variables: { name: ada.name } });
      expect(await sql.dm(waiting)).toMatchObject({ status: 'cancelled' });
      if (status === 'unknown') await sql.resolve(message.id, 'failed');
      else await settle('done');
      const deleted = { enrolments: 1, messages: 2 };
      expect(await forget({ p_recipient: ada.number })).toMatchObject({ deleted });
      expect(await columnsWith(ada.name)).toEqual([]);
    },
  );

  it('covers only the account that is named, if any, and follows a chat to the person', async () => {
    const other = await sql.addAccount({ provider_account_id: 'other' });
    const later = { chat_id: 'later', send_at: sql.at(day) };
    for (const sender of [talk.account, other]) {
      await sql.addDm(sender, { recipient: 'ACoEve', chat_id: 'chat-eve', body: secret });
      await sql.addDm(sender, { recipient: 'ACoEve', ...later, body: 'by person' });
      // The first chat leads to the person, and the person to the other chat.
      await sql.addDm(sender, { ...later, body: `${secret} too` });
    }
    const inChat = { p_chat_id: 'chat-eve' };
    const deleted = { messages: 3 };
    expect(await forget({ p_account_id: talk.account, ...inChat })).toMatchObject({ deleted });
    const kept = await database.sql('select account_id from punctual.dm_queue where recipient is not null');
    expect(kept).toEqual([{ account_id: other }, { account_id: other }]);
    await forget(inChat);
    for (const text of ['eve', secret, 'later']) expect(await columnsWith(text), text).toEqual([]);
  });

  it('prevents a late receipt from resuming the sequence', async () => {
    const id = await enrolAda();
    await talk.sendStep('dead');
    await forget({ p_recipient: ada.number });
    const [row] = await database.sql('select id, claim_id from punctual.dm_queue');
    await report('delivered', 'late', {
      recipient: 'another form of the number',
      reference: `dm_queue/${row.id}/${row.claim_id}`,
    });
    await forget({ p_recipient: ada.number });
    await sql.tick().exchange({ want: 5, close: true });
    expect(await talk.read(id)).toMatchObject({ phase: 'failed' });
    expect(await talk.advance()).toEqual({});
    await expect(talk.call('resume_enrolment', { p_id: id })).rejects.toMatchObject({ code: 'PT409' });
  });

  it('clears the receipts of messages to the person, whatever number they name', async () => {
    const id = await sql.addDm(wa, { ...whatsapp, recipient: ada.digits });
    await sql.drain('done', { result: { provider_message_id: 'wamid.1' } });
    const recipient = '5215512345678';
    await report('delivered', 'wamid.1', { recipient });
    await report('failed', 'wamid.0', { recipient, reference: `dm_queue/${id}/an earlier claim` });
    await report('sent', 'wamid.2', { recipient });
    expect(await forget({ p_recipient: ada.number })).toMatchObject({ deleted: { receipts: 2 } });
    const kept = await database.sql('select message_id from punctual.receipts where recipient is not null');
    expect(kept).toEqual([{ message_id: 'wamid.2' }]);
  });

  it('reads little more than the person’s own receipts, messages and enrolments', async () => {
    const id = await enrolAda();
    await talk.sendStep();
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
    const unknown = { p_account_id: crypto.randomUUID(), p_recipient: 'x' };
    await expect(forget(unknown)).rejects.toMatchObject({ code: 'PT404' });
  });
});
