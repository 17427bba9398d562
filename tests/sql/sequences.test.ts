import { beforeEach, describe, expect, it } from 'vitest';
import { bodyLimits } from '../../lib/providers/body-limits.ts';
import { conversations, type Step, stepOf } from '../support/conversations.ts';
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
const enrol = (sequence: string, people: object[], more: object = {}) =>
  talk.call('enrol_people', { p_sequence_id: sequence, p_people: people, ...more });
const enrolled = async () => (await database.sql('select count(*) from punctual.enrolments'))[0].count;

describe('a sequence', () => {
  it('is returned with its placeholders and an empty funnel', async () => {
    const template = { name: 'hi', language: 'en', parameters: ['{{ company }}'] };
    const reminder = { after_seconds: 60, body: 'still there, {{name}}?', template: null };
    const id = await talk.addSequence([{ kind: 'question', body: 'Hi {{name}}', template, reminder }], {
      channel: 'whatsapp',
    });
    expect(await talk.call('read_sequence', { p_id: id })).toMatchObject({
      id,
      version: 1,
      placeholders: ['company', 'name'],
      funnel: {
        enrolled: 0,
        paused: 0,
        phases: { in_progress: 0, waiting_reply: 0, replied: 0, completed: 0, stopped: 0, failed: 0 },
        steps: [{ step: 1, kind: 'question', body: 'Hi {{name}}', at: 0, sent: 0, reminded: 0, replied: 0 }],
      },
    });
  });

  it('is refused if its name is taken, its time zone does not exist, or it has no step', async () => {
    await talk.addSequence([{}], { name: 'welcome' });
    const make = (more: object) =>
      talk.call('create_sequence', {
        p_sequence: { name: 'n', channel: 'linkedin', time_zone: null, steps: [stepOf({})], ...more },
      });
    const errors = async (more: object) =>
      ((await make(more)).errors ?? []).map(({ field }: { field: string }) => field);
    expect(await errors({ name: 'welcome' })).toEqual(['name']);
    expect(await errors({ time_zone: 'Mars/Olympus' })).toEqual(['time_zone']);
    expect(await errors({ steps: [] })).toEqual(['steps']);
    expect(await errors({})).toEqual([]);
  });

  it('keeps its old steps for people who were enrolled before an edit', async () => {
    const id = await talk.addSequence([{ body: 'one' }, { body: 'two' }, { body: 'three' }]);
    const [ann = ''] = await talk.enrol(id, [person('ann')]);
    const steps = [stepOf({ body: 'other' })];
    expect(await talk.call('update_sequence', { p_id: id, p_changes: { steps } })).toMatchObject({
      version: 2,
    });
    expect(await talk.call('update_sequence', { p_id: id, p_changes: { steps } })).toMatchObject({
      version: 2,
    });
    expect(await talk.call('update_sequence', { p_id: id, p_changes: { steps: [] } })).toMatchObject({
      errors: [{ field: 'steps', message: 'a sequence has one step at least' }],
    });
    account = await sql.addAccount();
    const [bob = ''] = await talk.enrol(id, [person('bob')]);
    const sent: string[] = [];
    for (let n = 0; n < 4; n++) {
      await talk.advance();
      sent.push(...(await talk.send()));
    }
    expect(sent.sort()).toEqual(['one', 'other', 'three', 'two']);
    for (const one of [ann, bob]) expect(await talk.read(one)).toMatchObject({ phase: 'completed' });
    // The current version has one step. Steps 2 and 3 are of the version before.
    const { funnel } = await talk.call('read_sequence', { p_id: id });
    expect(
      funnel.steps.map(({ step, sent, body }: { step: number; sent: number; body: string }) => [
        step,
        sent,
        body,
      ]),
    ).toEqual([
      [1, 2, 'other'],
      [2, 1, null],
      [3, 1, null],
    ]);
  });

  it('raises PT404 if it does not exist', async () => {
    for (const [fn, args] of [
      ['read_sequence', { p_id: 9 }],
      ['update_sequence', { p_id: 9, p_changes: {} }],
      ['enrol_people', { p_sequence_id: 9, p_people: [] }],
      ['preview_sequence', { p_sequence_id: 9, p_person: {} }],
      ['read_enrolment', { p_id: 9 }],
    ] as const) {
      await expect(talk.call(fn, args), fn).rejects.toMatchObject({ code: 'PT404' });
    }
  });
});

describe('enrolling', () => {
  it('creates one enrolment per person, however often it is repeated', async () => {
    const id = await talk.addSequence([{}]);
    const people = [person('ann'), person('bob'), person('ann')];
    const first = await enrol(id, people);
    expect(first.rows).toMatchObject([
      { status: 'in_progress', created: true },
      { status: 'in_progress', created: true },
      { status: 'in_progress', created: false },
    ]);
    expect(first.rows[2].id).toBe(first.rows[0].id);
    const again = await enrol(id, people);
    expect(again.rows.map(({ created }: { created: boolean }) => created)).toEqual([false, false, false]);
    expect(again.rows.map(({ id }: { id: string }) => id)).toEqual(
      first.rows.map(({ id }: { id: string }) => id),
    );
    expect(await enrolled()).toBe(2);
  });

  it('recognises a person by chat id, and by phone number in any notation', async () => {
    const id = await talk.addSequence([{}]);
    const both = { account_id: account, recipient: 'ann', chat_id: 'chat-ann' };
    const [ann] = await talk.enrol(id, [both]);
    expect(await talk.enrol(id, [{ account_id: account, chat_id: 'chat-ann' }])).toEqual([ann]);
    const other = await talk.addSequence([{}], { channel: 'whatsapp' });
    const [one, ...others] = await talk.enrol(other, [
      { ...both, recipient: '+49 171 1' },
      { account_id: account, recipient: '0049 171 1' },
      { account_id: account, chat_id: 'chat-ann' },
    ]);
    expect(others).toEqual([one, one]);
  });

  it('starts a second enrolment only with p_again, and only after the first has ended', async () => {
    const id = await talk.addSequence([{}]);
    const [ann] = await talk.enrol(id, [person('ann')]);
    expect((await enrol(id, [person('ann')], { p_again: true })).rows).toMatchObject([
      { id: ann, created: false },
    ]);
    await talk.call('stop_enrolment', { p_id: ann });
    expect((await enrol(id, [person('ann')])).rows).toMatchObject([
      { id: ann, created: false, status: 'stopped' },
    ]);
    expect((await enrol(id, [person('ann')], { p_again: true })).rows).toMatchObject([
      { created: true, status: 'in_progress' },
    ]);
    expect(await enrolled()).toBe(2);
  });

  it('enrols nobody if one person is refused', async () => {
    const id = await talk.addSequence([
      { body: 'Hi {{name}}' },
      { kind: 'question', body: 'Is {{company}} well?' },
    ]);
    const known = { variables: { name: 'x', company: 'y' } };
    const phone = await sql.addAccount({ provider: 'whatsapp_cloud' });
    const response = await enrol(id, [
      person('ann', known),
      person('bob', { variables: { name: 'Bob' } }),
      person('eve', { ...known, account_id: crypto.randomUUID() }),
      person('joe', { ...known, time_zone: 'Nowhere' }),
      person('sue', { ...known, account_id: phone }),
      person('max', { variables: { name: 'x'.repeat(8_000), company: 'y' } }),
    ]);
    expect(response).toEqual({
      errors: [
        { index: 1, field: 'variables.company', message: 'step 2 asks for {{company}}, and it is not given' },
        { index: 2, field: 'account_id', message: 'there is no such account' },
        {
          index: 3,
          field: 'time_zone',
          message: 'there is no time zone "Nowhere": give one such as Europe/Berlin',
        },
        {
          index: 4,
          field: 'account_id',
          message: 'the account sends over WhatsApp, and the sequence is for linkedin',
        },
        {
          index: 4,
          field: 'recipient',
          message: "WhatsApp's Cloud API needs the telephone number, or the business-scoped user id",
        },
        {
          index: 5,
          field: 'variables',
          message: 'the body of step 1 becomes 8003 characters for this person; linkedin takes 8000',
        },
      ],
    });
    expect(await enrolled()).toBe(0);
  });

  it('counts characters as the providers do: most emoji count as two', async () => {
    const id = await talk.addSequence([{ body: '{{a}}!' }]);
    const errorOf = async (a: string) =>
      (await enrol(id, [person(`p${a.length}`, { variables: { a } })])).errors?.[0].message;
    expect(await errorOf('🙂'.repeat(3_999))).toBeUndefined();
    expect(await errorOf('🙂'.repeat(4_000))).toBe(
      'the body of step 1 becomes 8001 characters for this person; linkedin takes 8000',
    );
    expect(await errorOf('é'.repeat(7_999))).toBeUndefined();
  });

  it('refuses template parameters that WhatsApp would refuse once they are filled in', async () => {
    const template = { name: 'hi', language: 'en', parameters: ['x', '{{a}}'] };
    const reminder = { after_seconds: 60, body: 'well?', template };
    const id = await talk.addSequence([{ kind: 'question', template, reminder }], { channel: 'whatsapp' });
    account = await sql.addAccount({ provider: 'whatsapp_cloud' });
    for (const [a, reason] of [
      ['one\ntwo', 'has a line break, a tab or five spaces in a row, which WhatsApp refuses'],
      ['', 'is empty'],
      ['a'.repeat(1_025), 'is longer than 1,024 characters'],
    ]) {
      const message = `parameter 2 of the template of step 1 ${reason} for this person`;
      expect(await enrol(id, [person('491701', { variables: { a } })])).toEqual({
        errors: [
          { index: 0, field: 'variables', message },
          { index: 0, field: 'variables', message },
        ],
      });
    }
    expect((await enrol(id, [person('491701', { variables: { a: 'a    b' } })])).rows).toHaveLength(1);
  });

  it('refuses a step whose text is empty for a person', async () => {
    const id = await talk.addSequence([{ body: '{{intro}} ' }]);
    expect(await enrol(id, [person('ann', { variables: { intro: ' ' } })])).toMatchObject({
      errors: [{ index: 0, field: 'variables', message: 'the text of step 1 is empty for this person' }],
    });
  });

  it('refuses a person who is enrolled through another account, and enrols nobody of that call', async () => {
    const id = await talk.addSequence([{}]);
    const [ann] = await talk.enrol(id, [person('ann')]);
    const other = await sql.addAccount();
    expect(await enrol(id, [person('bob'), person('ann', { account_id: other })])).toEqual({
      errors: [
        {
          index: 1,
          field: 'account_id',
          message: `the person is in the sequence already, through another account (enrolment ${ann})`,
        },
      ],
    });
    expect(await enrolled()).toBe(1);
  });

  it('schedules the first step after its delay, counted from now or from start_at', async () => {
    const id = await talk.addSequence([{ delay_seconds: hour }]);
    const [ann = '', bob = ''] = await talk.enrol(id, [
      person('ann'),
      person('bob', { start_at: sql.at(24 * hour) }),
    ]);
    expect(await talk.read(ann)).toMatchObject({ next_step_at: sql.at(hour).replace('.000Z', '+00:00') });
    expect(await talk.read(bob)).toMatchObject({
      next_step_at: sql.at(25 * hour).replace('.000Z', '+00:00'),
    });
  });

  it('has the same text length limits as the API', async () => {
    for (const [channel, limit] of Object.entries(bodyLimits)) {
      expect(await database.sql('select punctual.body_limit($1) as most', [channel])).toEqual([
        { most: limit },
      ]);
    }
  });
});

describe('the funnel', () => {
  it('counts people by their phase now and by the steps they have reached', async () => {
    const reminder = { after_seconds: 60, body: 'still there?', template: null };
    const steps: Step[] = [
      { body: 'one', on_reply: 'stop' },
      { kind: 'question', body: 'two', reminder },
      { body: 'three', delay_seconds: hour },
    ];
    const id = await talk.addSequence(steps);
    const names = ['ann', 'bob', 'eve', 'joe', 'sue'];
    const ids: string[] = [];
    for (const name of names) {
      account = await sql.addAccount({ provider_account_id: name });
      ids.push(...(await talk.enrol(id, [person(name)])));
    }
    const write = (name: string) => talk.reply({ provider_account_id: name, recipient: name, body: 'hm' });
    await talk.advance();
    await talk.send();
    await write('ann');
    await talk.call('stop_enrolment', { p_id: ids[1] });
    await talk.advance();
    await talk.send();
    sql.pass(60);
    await talk.advance();
    await talk.send();
    await write('eve');
    await talk.call('pause_enrolment', { p_id: ids[3] });
    sql.pass(hour);
    await talk.advance();
    await talk.send('dead');
    const { funnel } = await talk.call('read_sequence', { p_id: id });
    expect(funnel).toMatchObject({
      enrolled: 5,
      paused: 1,
      phases: { in_progress: 0, waiting_reply: 2, replied: 1, completed: 0, stopped: 1, failed: 1 },
      steps: [
        { step: 1, at: 0, sent: 5, reminded: 0, replied: 1 },
        { step: 2, at: 2, sent: 3, reminded: 3, replied: 1 },
        { step: 3, at: 0, sent: 0, reminded: 0, replied: 0 },
      ],
    });
    const { items: list } = await talk.call('list_enrolments', {
      p_sequence_id: id,
      p_phase: 'waiting_reply',
    });
    expect(list.map(({ id }: { id: string }) => id)).toEqual([ids[4], ids[3]]);
    expect(await talk.call('list_enrolments', { p_limit: 2, p_cursor: [ids[3]] })).toMatchObject({
      items: [{ id: ids[2] }, { id: ids[1] }],
      next: [Number(ids[1])],
    });
    await expect(talk.call('list_enrolments', { p_limit: 0 })).rejects.toMatchObject({ code: '22023' });
    await expect(talk.call('list_enrolments', { p_phase: 'gone' })).rejects.toMatchObject({ code: '22023' });
  });
});

describe('a preview', () => {
  const preview = (id: string, more: object = {}) =>
    talk.call('preview_sequence', { p_sequence_id: id, p_person: { account_id: account, ...more } });

  it('lists the messages that a person will get, each with its approximate time', async () => {
    const reminder = { after_seconds: hour, body: 'still there, {{name}}?', template: null };
    const id = await talk.addSequence([
      { body: 'Hi {{name}}', delay_seconds: 60 },
      {
        kind: 'question',
        body: 'how?',
        delay_seconds: 24 * hour,
        reminder,
        no_reply: { after_seconds: 2 * hour, action: 'continue' },
      },
      { kind: 'question', body: 'and now?', delay_seconds: hour, hours: { fri: ['09:00-10:00'] } },
      { body: 'bye', delay_seconds: hour },
    ]);
    expect(await preview(id, { variables: { name: 'Ann' } })).toEqual({
      steps: [
        {
          step: 1,
          kind: 'message',
          body: 'Hi Ann',
          template: null,
          about_at: '2026-03-02T12:01:00+00:00',
          note: null,
        },
        {
          step: 2,
          kind: 'question',
          body: 'how?',
          template: null,
          about_at: '2026-03-03T12:01:00+00:00',
          note: null,
        },
        {
          step: 2,
          kind: 'reminder',
          body: 'still there, Ann?',
          template: null,
          about_at: '2026-03-03T13:01:00+00:00',
          note: 'unless there was an answer',
        },
        {
          step: 3,
          kind: 'question',
          body: 'and now?',
          template: null,
          about_at: '2026-03-06T09:00:00+00:00',
          note: null,
        },
        {
          step: 4,
          kind: 'message',
          body: 'bye',
          template: null,
          about_at: null,
          note: 'after the answer to the question before it',
        },
      ],
    });
    expect(await preview(id)).toMatchObject({ errors: [{ field: 'variables.name' }] });
    expect(await enrolled()).toBe(0);
  });

  it("keeps to the account's sending hours, and reports a step whose hours never overlap them", async () => {
    const hours = { mon: ['13:00-14:00'], wed: ['08:00-09:00'] };
    account = await sql.addAccount({ hours: JSON.stringify(hours) });
    const wednesdays = await talk.addSequence([{ hours: { wed: ['08:30-10:00'] } }]);
    expect(await preview(wednesdays)).toMatchObject({ steps: [{ about_at: '2026-03-04T08:30:00+00:00' }] });
    const never = await talk.addSequence([{ hours: { thu: ['08:00-10:00'] } }]);
    expect(await preview(never)).toMatchObject({
      steps: [{ about_at: null, note: expect.stringMatching(/^never: its hours and the account's/) }],
    });
  });
});
