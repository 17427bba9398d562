import { describe, expect, it } from 'vitest';
import { bodyLimits } from '../../lib/providers/body-limits.ts';
import { type Step, stepOf } from '../support/conversations.ts';
import { perTestConversations, perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
const talk = perTestConversations(database, sql);

const hour = 3_600;
const person = (name: string, more: object = {}) => ({
  account_id: talk.account,
  recipient: name,
  ...more,
});
const enrol = (sequence: string, people: object[], more: object = {}) =>
  talk.call('enrol_people', { p_sequence_id: sequence, p_people: people, ...more });
const enrolled = async () => (await database.sql('select count(*) from punctual.enrolments'))[0].count;

describe('a sequence', () => {
  it('is returned with its placeholders and an empty funnel', async () => {
    const template = { name: 'hi', language: 'en', parameters: ['{{ company }}'] };
    const reminder = { after_seconds: 60, body: 'still there, {{name}}?', template: null };
    const question = { kind: 'question' as const, body: 'Hi {{name}}' };
    const id = await talk.addSequence([{ ...question, template, reminder }], { channel: 'whatsapp' });
    const phases = { in_progress: 0, waiting_reply: 0, replied: 0, completed: 0, stopped: 0, failed: 0 };
    const steps = [{ step: 1, ...question, at: 0, sent: 0, reminded: 0, replied: 0 }];
    expect(await talk.call('read_sequence', { p_id: id })).toMatchObject({
      id,
      version: 1,
      placeholders: ['company', 'name'],
      funnel: { enrolled: 0, paused: 0, phases, steps },
    });
  });

  it.each([
    ['name', { name: 'welcome' }],
    ['time_zone', { time_zone: 'Mars/Olympus' }],
    ['steps', { steps: [] }],
  ])('is refused with a %s that is taken, unknown or empty', async (field, more) => {
    await talk.addSequence([{}], { name: 'welcome' });
    const p_sequence = { name: 'n', channel: 'linkedin', time_zone: null, steps: [stepOf({})], ...more };
    expect(await talk.call('create_sequence', { p_sequence })).toMatchObject({ errors: [{ field }] });
  });

  it('keeps its old steps for people who were enrolled before an edit', async () => {
    const id = await talk.addSequence([{ body: 'one' }, { body: 'two' }, { body: 'three' }]);
    const ids = await talk.enrol(id, [person('ann')]);
    const edit = (steps: object[]) => talk.call('update_sequence', { p_id: id, p_changes: { steps } });
    for (let n = 0; n < 2; n++) expect(await edit([stepOf({ body: 'other' })])).toMatchObject({ version: 2 });
    expect(await edit([])).toMatchObject({
      errors: [{ field: 'steps', message: 'a sequence has one step at least' }],
    });
    ids.push(...(await talk.enrol(id, [person('bob', { account_id: await sql.addAccount() })])));
    const sent: string[] = [];
    for (let n = 0; n < 4; n++) sent.push(...(await talk.sendStep()));
    expect(sent.sort()).toEqual(['one', 'other', 'three', 'two']);
    for (const one of ids) expect(await talk.read(one)).toMatchObject({ phase: 'completed' });
    // The current version has one step. Steps 2 and 3 are of the version before.
    const { funnel } = await talk.call('read_sequence', { p_id: id });
    expect(funnel.steps).toMatchObject([
      { step: 1, sent: 2, body: 'other' },
      { step: 2, sent: 1, body: null },
      { step: 3, sent: 1, body: null },
    ]);
  });

  it.each([
    ['read_sequence', { p_id: 9 }],
    ['update_sequence', { p_id: 9, p_changes: {} }],
    ['enrol_people', { p_sequence_id: 9, p_people: [] }],
    ['preview_sequence', { p_sequence_id: 9, p_person: {} }],
    ['read_enrolment', { p_id: 9 }],
  ])('makes %s raise PT404 if it does not exist', async (fn, args) => {
    await expect(talk.call(fn, args)).rejects.toMatchObject({ code: 'PT404' });
  });
});

describe('enrolling', () => {
  it('creates one enrolment per person, however often it is repeated', async () => {
    const id = await talk.addSequence([{}]);
    const people = [person('ann'), person('bob'), person('ann')];
    const { rows } = await enrol(id, people);
    const status = 'in_progress';
    expect(rows).toEqual([
      { id: expect.any(String), status, created: true },
      { id: expect.any(String), status, created: true },
      { ...rows[0], created: false },
    ]);
    const again = rows.map((row: object) => ({ ...row, created: false }));
    expect((await enrol(id, people)).rows).toEqual(again);
    expect(await enrolled()).toBe(2);
  });

  it('recognises a person by chat id, and by phone number in any notation', async () => {
    const id = await talk.addSequence([{}]);
    const chat = { account_id: talk.account, chat_id: 'chat-ann' };
    const [ann] = await talk.enrol(id, [person('ann', chat)]);
    expect(await talk.enrol(id, [chat])).toEqual([ann]);
    const other = await talk.addSequence([{}], { channel: 'whatsapp' });
    const people = [person('+49 171 1', chat), person('0049 171 1'), chat];
    const [one, ...others] = await talk.enrol(other, people);
    expect(others).toEqual([one, one]);
  });

  it('starts a second enrolment only with p_again, and only after the first has ended', async () => {
    const id = await talk.addSequence([{}]);
    const [ann] = await talk.enrol(id, [person('ann')]);
    const enrolAnn = async (p_again: boolean) => (await enrol(id, [person('ann')], { p_again })).rows;
    expect(await enrolAnn(true)).toMatchObject([{ id: ann, created: false }]);
    await talk.call('stop_enrolment', { p_id: ann });
    expect(await enrolAnn(false)).toMatchObject([{ id: ann, created: false, status: 'stopped' }]);
    expect(await enrolAnn(true)).toMatchObject([{ created: true, status: 'in_progress' }]);
    expect(await enrolled()).toBe(2);
  });

  it('enrols nobody if one person is refused', async () => {
    const id = await talk.addSequence([
      { body: 'Hi {{name}}' },
      { kind: 'question', body: 'Is {{company}} well?' },
    ]);
    const variables = { name: 'x', company: 'y' };
    const phone = await sql.addAccount({ provider: 'whatsapp_cloud' });
    const { errors } = await enrol(id, [
      person('ann', { variables }),
      person('bob', { variables: { name: 'Bob' } }),
      person('eve', { variables, account_id: crypto.randomUUID() }),
      person('joe', { variables, time_zone: 'Nowhere' }),
      person('sue', { variables, account_id: phone }),
      person('max', { variables: { ...variables, name: 'x'.repeat(8_000) } }),
    ]);
    const texts = errors.map((e: Record<string, unknown>) => `${e.index}: ${e.field}: ${e.message}`);
    expect(texts).toEqual([
      '1: variables.company: step 2 asks for {{company}}, and it is not given',
      '2: account_id: there is no such account',
      '3: time_zone: there is no time zone "Nowhere": give one such as Europe/Berlin',
      '4: account_id: the account sends over WhatsApp, and the sequence is for linkedin',
      "4: recipient: WhatsApp's Cloud API needs the telephone number, or the business-scoped user id",
      '5: variables: the body of step 1 becomes 8003 characters for this person; linkedin takes 8000',
    ]);
    expect(await enrolled()).toBe(0);
  });

  it('counts characters as the providers do: most emoji count as two', async () => {
    const id = await talk.addSequence([{ body: '{{a}}!' }]);
    const errorOf = async (a: string) =>
      (await enrol(id, [person(`p${a.length}`, { variables: { a } })])).errors?.[0].message;
    expect(await errorOf('🙂'.repeat(3_999))).toBeUndefined();
    const message = 'the body of step 1 becomes 8001 characters for this person; linkedin takes 8000';
    expect(await errorOf('🙂'.repeat(4_000))).toBe(message);
    expect(await errorOf('é'.repeat(7_999))).toBeUndefined();
  });

  it('refuses template parameters that WhatsApp would refuse once they are filled in', async () => {
    const template = { name: 'hi', language: 'en', parameters: ['x', '{{a}}'] };
    const reminder = { after_seconds: 60, body: 'well?', template };
    const id = await talk.addSequence([{ kind: 'question', template, reminder }], { channel: 'whatsapp' });
    const account_id = await sql.addAccount({ provider: 'whatsapp_cloud' });
    const enrolWith = (a: string) => enrol(id, [person('491701', { account_id, variables: { a } })]);
    for (const [a = '', reason] of [
      ['one\ntwo', 'has a line break, a tab or five spaces in a row, which WhatsApp refuses'],
      ['', 'is empty'],
      ['a'.repeat(1_025), 'is longer than 1,024 characters'],
    ]) {
      const message = `parameter 2 of the template of step 1 ${reason} for this person`;
      const error = { index: 0, field: 'variables', message };
      expect(await enrolWith(a)).toEqual({ errors: [error, error] });
    }
    expect((await enrolWith('a    b')).rows).toHaveLength(1);
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
    const elsewhere = person('ann', { account_id: await sql.addAccount() });
    const message = `the person is in the sequence already, through another account (enrolment ${ann})`;
    expect(await enrol(id, [person('bob'), elsewhere])).toEqual({
      errors: [{ index: 1, field: 'account_id', message }],
    });
    expect(await enrolled()).toBe(1);
  });

  it('schedules the first step after its delay, counted from now or from start_at', async () => {
    const id = await talk.addSequence([{ delay_seconds: hour }]);
    const people = [person('ann'), person('bob', { start_at: sql.at(24 * hour) })];
    const [ann = '', bob = ''] = await talk.enrol(id, people);
    expect(await talk.read(ann)).toMatchObject({ next_step_at: talk.at(hour) });
    expect(await talk.read(bob)).toMatchObject({ next_step_at: talk.at(25 * hour) });
  });

  it.each(Object.entries(bodyLimits))('limits a text on %s as the API does', async (channel, most) => {
    expect(await database.sql('select punctual.body_limit($1) as most', [channel])).toEqual([{ most }]);
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
    const ids: string[] = [];
    for (const name of ['ann', 'bob', 'eve', 'joe', 'sue']) {
      const account_id = await sql.addAccount({ provider_account_id: name });
      ids.push(...(await talk.enrol(id, [person(name, { account_id })])));
    }
    const write = (name: string) => talk.reply({ provider_account_id: name, recipient: name, body: 'hm' });
    await talk.sendStep();
    await write('ann');
    await talk.call('stop_enrolment', { p_id: ids[1] });
    await talk.sendStep();
    sql.pass(60);
    await talk.sendStep();
    await write('eve');
    await talk.call('pause_enrolment', { p_id: ids[3] });
    sql.pass(hour);
    await talk.sendStep('dead');
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
    const list = (args: object) => talk.call('list_enrolments', args);
    const waiting = await list({ p_sequence_id: id, p_phase: 'waiting_reply' });
    expect(waiting.items).toMatchObject([{ id: ids[4] }, { id: ids[3] }]);
    for (const wrong of [{ p_limit: 0 }, { p_phase: 'gone' }])
      await expect(list(wrong)).rejects.toMatchObject({ code: '22023' });
  });
});

describe('a preview', () => {
  const preview = (id: string, more: object = {}) =>
    talk.call('preview_sequence', {
      p_sequence_id: id,
      p_person: { account_id: talk.account, ...more },
    });

  it('lists the messages that a person will get, each with its approximate time', async () => {
    const reminder = { after_seconds: hour, body: 'still there, {{name}}?', template: null };
    const no_reply = { after_seconds: 2 * hour, action: 'continue' };
    const id = await talk.addSequence([
      { body: 'Hi {{name}}', delay_seconds: 60 },
      { kind: 'question', body: 'how?', delay_seconds: 24 * hour, reminder, no_reply },
      { kind: 'question', body: 'and now?', delay_seconds: hour, hours: { fri: ['09:00-10:00'] } },
      { body: 'bye', delay_seconds: hour },
    ]);
    const expected = [
      [1, 'message', 'Hi Ann', '2026-03-02T12:01:00+00:00', null],
      [2, 'question', 'how?', '2026-03-03T12:01:00+00:00', null],
      [2, 'reminder', 'still there, Ann?', '2026-03-03T13:01:00+00:00', 'unless there was an answer'],
      [3, 'question', 'and now?', '2026-03-06T09:00:00+00:00', null],
      [4, 'message', 'bye', null, 'after the answer to the question before it'],
    ];
    expect(await preview(id, { variables: { name: 'Ann' } })).toEqual({
      steps: expected.map(([step, kind, body, about_at, note]) => ({
        step,
        kind,
        body,
        template: null,
        about_at,
        note,
      })),
    });
    expect(await preview(id)).toMatchObject({ errors: [{ field: 'variables.name' }] });
    expect(await enrolled()).toBe(0);
  });

  it("keeps to the account's sending hours, and reports a step whose hours never overlap them", async () => {
    const hours = JSON.stringify({ mon: ['13:00-14:00'], wed: ['08:00-09:00'] });
    const account_id = await sql.addAccount({ hours });
    const wednesdays = await talk.addSequence([{ hours: { wed: ['08:30-10:00'] } }]);
    const about_at = '2026-03-04T08:30:00+00:00';
    expect(await preview(wednesdays, { account_id })).toMatchObject({ steps: [{ about_at }] });
    const never = await talk.addSequence([{ hours: { thu: ['08:00-10:00'] } }]);
    const note = expect.stringMatching(/^never: its hours and the account's/);
    expect(await preview(never, { account_id })).toMatchObject({ steps: [{ about_at: null, note }] });
  });
});
