import { beforeEach, describe, expect, it } from 'vitest';
import { perTestConversations, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);
let phone: string;

beforeEach(async () => {
  phone = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'phone' });
});

const hour = 3_600;
const number = '491701234';
const userId = 'DE.8642';
const both = { recipient: number, user_id: userId };
const hidden = { recipient: userId, user_id: userId };

const receiveFromUser = (more: object) =>
  talk.reply({ provider_account_id: 'phone', body: 'stop', ...more }, 'whatsapp_cloud');
const receiveStatus = (more: object) =>
  sql.receive([
    { kind: 'status', status: 'sent', message_id: 'wamid.1', provider_account_id: 'phone', ...more },
  ]);

describe('a WhatsApp user whose number may be hidden', () => {
  const unmatched = async () => (await talk.call('list_replies', {})).items;
  let sequence: string;
  beforeEach(async () => {
    sequence = await talk.addSequence([{ body: 'one' }, { body: 'two' }], { channel: 'whatsapp' });
  });

  async function enrol(recipient = '+49 (170) 12-34', into = sequence): Promise<string> {
    const [id = ''] = await talk.enrol(into, [{ account_id: phone, recipient }]);
    return id;
  }
  /** Fails unless the phase of each enrolment is as given. */
  const expectPhase = async (phase: string, ...ids: string[]) => {
    for (const id of ids) expect(await talk.read(id)).toMatchObject({ phase });
  };

  it('stops the sequence with a first reply, once a status has linked the user id to the number', async () => {
    const id = await enrol();
    await talk.sendStep();
    await receiveStatus(both);
    await receiveFromUser(hidden);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: 'stop' });
    expect(await talk.sendStep()).toEqual([]);
    expect(await unmatched()).toEqual([]);
  });

  it('stops the sequence once if that status arrives after the first reply', async () => {
    const id = await enrol();
    await talk.sendStep();
    await receiveFromUser(hidden);
    await expectPhase('in_progress', id);
    expect(await unmatched()).toHaveLength(1);
    await talk.advance();
    await receiveStatus(both);
    await receiveStatus({ ...both, status: 'read' });
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', last_reply: null });
    expect(await talk.send()).toEqual([]);
    expect((await talk.events(id)).slice(3)).toEqual(['queued 2', 'replied 1', 'withdrawn 2']);
    expect(await unmatched()).toEqual([]);
  });

  it('stops the sequence with a later reply if an earlier message had the user id and the number', async () => {
    await receiveFromUser(both);
    sql.pass(40 * 24 * hour);
    const id = await enrol();
    await receiveFromUser(hidden);
    await expectPhase('replied', id);
  });

  it('is not linked by a pair of somebody else, or by an invalid user id', async () => {
    await receiveFromUser({ recipient: '491709999', user_id: userId });
    await receiveFromUser({ recipient: number, user_id: '8642' });
    sql.pass(60);
    const ids = [await enrol(), await enrol('DE.7')];
    await receiveFromUser(hidden);
    await receiveFromUser({ recipient: '8642' });
    await receiveFromUser({ recipient: '7' });
    await expectPhase('in_progress', ...ids);
  });

  it.each([
    ['user id', hidden],
    ['number', { recipient: number }],
  ])('stops the sequence by %s after an enrolment by user id', async (_name, reply) => {
    const id = await enrol(userId);
    await receiveStatus(both);
    await receiveFromUser(reply);
    expect(await talk.read(id)).toMatchObject({ phase: 'replied', recipient: userId });
  });

  it.each([
    ['number', 'user id', undefined, userId],
    ['user id', 'number', userId, undefined],
  ])('enrolled by %s is in the sequence by %s', async (_one, _other, first, second) => {
    await receiveStatus(both);
    const id = await enrol(first);
    expect(await enrol(second)).toBe(id);
  });

  it('is enrolled once if named by number and by user id in one call', async () => {
    await receiveStatus(both);
    const recipients = [userId, number, 'DE.77', '491709999'];
    const people = recipients.map((recipient) => ({ account_id: phone, recipient }));
    const [first, second, ...others] = await talk.enrol(sequence, people);
    expect(second).toBe(first);
    expect(new Set([first, ...others]).size).toBe(3);
    const enrolled = await database.sql('select recipient from punctual.enrolments order by id');
    expect(enrolled.map(({ recipient }) => String(recipient))).toEqual([userId, 'DE.77', '491709999']);
  });

  it('has a reply counted in a second sequence too, once a status links the user id to its number', async () => {
    const step = { body: 'one', on_reply: 'continue' };
    const add = () => talk.addSequence([step], { channel: 'whatsapp' });
    const [first, second] = [await enrol(userId, await add()), await enrol(number, await add())];
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
    const reply = { provider: 'whatsapp_cloud', provider_account_id: 'phone', recipient: 'DE.x2500' };
    // Counts the rows that were read without an index.
    const reads = await database.sql(
      `with before as materialized (
         select t.oid, t.relname, pg_stat_get_xact_tuples_returned(t.oid) as rows from pg_class t
          where t.oid in ('punctual.enrolments'::regclass, 'punctual.whatsapp_users'::regclass)),
       matched as materialized (
         select b.*, punctual.match_reply(jsonb_populate_record(null::punctual.receipts, $1)) as ids from before b)
       select m.relname, pg_stat_get_xact_tuples_returned(m.oid) - m.rows as read from matched m where cardinality(m.ids) = 1 order by 1`,
      [{ ...reply, received_at: '2200-01-01' }],
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
    const prune = async () => (await talk.call('prune', { p_limit: 1 })).more;
    sql.pass(31 * 24 * hour);
    expect([await prune(), await prune(), await prune()]).toEqual([true, true, false]);
    expect(await database.sql('select user_id from punctual.whatsapp_users')).toEqual([{ user_id: userId }]);
    await database.sql('delete from punctual.enrolments');
    sql.pass(31 * 24 * hour);
    await prune();
    expect(await database.sql('select from punctual.whatsapp_users')).toEqual([]);
  });
});

describe("WhatsApp's window", () => {
  const to = { channel: 'whatsapp', recipient: '+49 170 1' };
  const readWindows = async (ids: string[]) => {
    const [{ facts }] = await database.sql('select punctual.read_dm_facts($1, $2) as facts', [ids, sql.now]);
    return ids.map((id) => facts[id].in_window);
  };

  it('is open for a person who wrote without the number', async () => {
    const ids = [await sql.addDm(phone, to), await sql.addDm(phone, { ...to, recipient: 'DE.1' })];
    await receiveFromUser({ recipient: 'DE.1', user_id: 'DE.1' });
    await receiveStatus({ status: 'read', recipient: '491701', user_id: 'DE.1' });
    expect(await readWindows(ids)).toEqual([true, true]);
  });

  it('reaches the attempt: when the person last wrote, and whether that is less than 24 hours ago', async () => {
    const facts = async () => {
      await sql.addDm(phone, to);
      const { messages, settle } = await talk.claim();
      await settle('done', { result: null });
      return messages.map((message) => message.facts);
    };
    expect(await facts()).toEqual([{ last_reply_at: null, in_window: false }]);
    const last_reply_at = talk.at();
    await receiveFromUser({ recipient: '491701' });
    await receiveFromUser({
      provider_account_id: 'another',
      recipient: '491701',
      said_at: sql.at(9 * hour),
    });
    sql.pass(24 * hour - 61);
    expect(await facts()).toEqual([{ last_reply_at, in_window: true }]);
    sql.pass(1);
    expect(await facts()).toMatchObject([{ in_window: false }]);
  });

  it('is unknown if WhatsApp accepted a message and no webhook has reported it for 1 minute', async () => {
    const other = await sql.addAccount({ provider: 'whatsapp_cloud', provider_account_id: 'other' });
    const sent = await sql.addDm(phone, to);
    await talk.send();
    const ids = [await sql.addDm(phone, to), await sql.addDm(other, to)];
    sql.pass(59);
    expect(await readWindows(ids)).toEqual([false, false]);
    sql.pass(1);
    expect(await readWindows(ids)).toEqual([null, false]);
    await receiveFromUser({ recipient: '491701' });
    expect(await readWindows(ids)).toEqual([true, false]);
    await database.sql('delete from punctual.receipts');
    sql.pass(24 * hour - 60);
    expect(await readWindows(ids)).toEqual([null, false]);
    sql.pass(1);
    expect(await readWindows(ids)).toEqual([false, false]);
    sql.pass(-hour);
    await receiveStatus({ message_id: `m-${sent}` });
    expect(await readWindows(ids)).toEqual([false, false]);
  });

  it('does not reach attempts of other providers', async () => {
    await sql.addDm(talk.account);
    const { messages } = await talk.claim();
    expect(messages).toHaveLength(1);
    expect(messages[0]).not.toHaveProperty('facts');
  });
});
