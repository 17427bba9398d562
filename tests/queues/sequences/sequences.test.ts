import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as sequencesApi } from '../../../lib/api/sequences.ts';
import { answered, apiRequest, withKey } from '../../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../../support/fixtures.ts';

const {
  'POST /sequences/:id/enrolments': ENROL,
  'POST /sequences/:id/preview': PREVIEW,
  'GET /sequences/:id': GET_ONE,
  'PATCH /sequences/:id': PATCH,
  'GET /sequences': GET,
  'POST /sequences': POST,
} = sequencesApi;

const database = servedDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount();
});

const request = (method: string, path = '', body?: unknown) =>
  apiRequest(method, `/api/sequences${path}`, withKey, JSON.stringify(body));
const one = (id: string) => ({ params: Promise.resolve({ id }) });
const list = () => answered(GET(request('GET')));
const create = (body: unknown) => answered(POST(request('POST', '', body)));
const read = (id: string) => answered(GET_ONE(request('GET', `/${id}`), one(id)));
const edit = (id: string, body: unknown) => answered(PATCH(request('PATCH', `/${id}`, body), one(id)));
const preview = (id: string, body: unknown) =>
  answered(PREVIEW(request('POST', '/x/preview', body), one(id)));
const enrol = (id: string, body: unknown, query = '') =>
  answered(ENROL(request('POST', `/x/enrolments${query}`, body), one(id)));

const message = (body = 'Hi {{first_name}}', more: object = {}) => ({ kind: 'message', body, ...more });
const question = (more: object = {}) => ({ kind: 'question', body: 'How is {{company}}?', ...more });
const sequence = (steps: unknown[] = [message()], more: object = {}) => ({
  name: 'welcome',
  channel: 'linkedin',
  steps,
  ...more,
});
const person = (name: string, more: object = {}) => ({
  account_id: account,
  recipient: name,
  variables: { first_name: name, company: 'Acme' },
  ...more,
});
async function add(...given: Parameters<typeof sequence>): Promise<string> {
  const { status, body } = await create(sequence(...given));
  expect(status, JSON.stringify(body)).toBe(201);
  return body.id;
}
/** Expects a refusal, and returns its messages by field. */
async function faults(response: ReturnType<typeof create>): Promise<Record<string, string>> {
  const { status, body } = await response;
  expect(status).toBe(422);
  return Object.fromEntries(
    body.error.errors.map(({ field, message }: { field: string; message: string }) => [field, message]),
  );
}
const enrolled = () => database.sql('select version, variables from punctual.enrolments order by id');

describe('POST /api/sequences', () => {
  it('returns the sequence with its defaults filled in', async () => {
    const { status, body } = await create(sequence([message(), question({ delay_seconds: 60 })]));
    expect(status).toBe(201);
    const defaults = { delay_seconds: 0, hours: null, template: null, reminder: null, no_reply: null };
    expect(body).toMatchObject({
      name: 'welcome',
      version: 1,
      time_zone: null,
      placeholders: ['company', 'first_name'],
      steps: [
        { ...defaults, kind: 'message', on_reply: 'stop' },
        { ...defaults, kind: 'question', delay_seconds: 60, on_reply: 'continue' },
      ],
      funnel: { enrolled: 0, steps: [{ step: 1, sent: 0 }, { step: 2 }] },
    });
    expect((await read(body.id)).body).toEqual(body);
    expect((await list()).body).toEqual({ sequences: [body], next: null });
  });

  it('accepts every option of a step', async () => {
    const template = { name: 'welcome_1', language: 'en_US', parameters: ['{{ first_name }}'] };
    const step = question({
      hours: { mon: ['09:00-12:00', '13:00-24:00'] },
      template,
      on_reply: 'stop',
      reminder: { after_seconds: 60, body: 'well?', template },
      no_reply: { after_seconds: 61, action: 'continue' },
    });
    const options = { channel: 'whatsapp', time_zone: 'Europe/Berlin' };
    expect(await create(sequence([step], options))).toMatchObject({
      status: 201,
      body: { time_zone: 'Europe/Berlin', steps: [step] },
    });
  });

  const reminder = { after_seconds: 60, body: 'x' };
  const no_reply = { after_seconds: 60, action: 'stop' };
  const template = { name: 'welcome', language: 'en', parameters: ['{{1}}'] };
  const onlyQuestions = /^is only for questions: a message does not wait for a reply$/;
  it.each<[name: string, steps: unknown[], field: string, says?: RegExp]>([
    [
      'an invalid placeholder',
      [message(), message('Hi {{First name}}')],
      'steps.1.body',
      /^has "{{First name}}" at character 4, which is not a placeholder: write {{first_name}}, up to 40 lower-case/,
    ],
    [
      'an open placeholder',
      [message('Hi {{x')],
      'steps.0.body',
      /^has a {{ at character 4 that is not closed/,
    ],
    ['a text that is too long', [message('x'.repeat(8_001))], 'steps.0.body'],
    [
      'an empty reminder',
      [question({ reminder: { ...reminder, body: '' } })],
      'steps.0.reminder.body',
      /is empty/,
    ],
    [
      'a reminder after the wait',
      [question({ reminder, no_reply })],
      'steps.0.reminder',
      /^comes after no_reply ends the wait: make its after_seconds shorter$/,
    ],
    ['a message’s reminder', [message('x', { reminder })], 'steps.0.reminder', onlyQuestions],
    ['a message’s no_reply', [message('x', { no_reply })], 'steps.0.no_reply', onlyQuestions],
    [
      'a numbered placeholder',
      [message('x', { template })],
      'steps.0.template.parameters.0',
      /not a placeholder/,
    ],
    ['a delay below 0', [message('x', { delay_seconds: -1 })], 'steps.0.delay_seconds'],
    ['a delay above a year', [message('x', { delay_seconds: 31_536_001 })], 'steps.0.delay_seconds'],
    ['invalid hours', [message('x', { hours: { mon: ['9-12'] } })], 'steps.0.hours.mon.0'],
    ['an unknown field', [message('x', { surprise: 1 })], 'steps.0.surprise'],
    ['no steps', [], 'steps', /^is empty: a sequence needs at least one step$/],
    ['51 steps', Array(51).fill(message('x')), 'steps', /at most 50/],
  ])('refuses %s, and names the step', async (_name, steps, field, says = /\w/) => {
    const { [field]: fault } = await faults(create(sequence(steps)));
    expect(fault).toMatch(says);
    expect((await list()).body.sequences).toEqual([]);
  });

  it('refuses a template for LinkedIn, and names every fault of a step', async () => {
    const steps = [message('Hi {{A}}, {{x', { template, reminder })];
    expect(Object.keys(await faults(create(sequence(steps)))).sort()).toEqual([
      'steps.0.body',
      'steps.0.reminder',
      'steps.0.template',
      'steps.0.template.parameters.0',
    ]);
  });

  it('refuses an invalid channel, time zone or name', async () => {
    for (const [changes, field] of [
      [{ channel: 'fax' }, 'channel'],
      [{ time_zone: 'Mars/Olympus' }, 'time_zone'],
      [{ name: ' ' }, 'name'],
    ] as const)
      expect(Object.keys(await faults(create(sequence([message()], changes))))).toEqual([field]);
    expect(await faults(create(null))).toHaveProperty(['']);
  });

  it('refuses a name in use, and names the sequence that has it', async () => {
    const id = await add();
    expect(await faults(create(sequence()))).toEqual({
      name: `there is a sequence of that name, ${id}: choose another, or PATCH that one`,
    });
  });
});

describe('PATCH /api/sequences/:id', () => {
  it('makes new steps a new version, and enrolled people keep theirs', async () => {
    const id = await add();
    await enrol(id, person('ann'));
    const edited = await edit(id, { name: 'hello', steps: [question()] });
    expect(edited).toMatchObject({ status: 200, body: { name: 'hello', version: 2 } });
    await enrol(id, person('bob'));
    expect(await enrolled()).toMatchObject([{ version: 1 }, { version: 2 }]);
  });

  it('refuses to leave no step or to change nothing or the channel, and limits texts by the channel', async () => {
    const id = await add([message('x')], { channel: 'whatsapp' });
    const steps = 'is empty: a sequence needs at least one step';
    expect(await faults(edit(id, { name: 'hello', steps: [] }))).toEqual({ steps });
    expect(await faults(edit(id, { steps: [message('x'.repeat(4_097))] }))).toHaveProperty(['steps.0.body']);
    expect(await faults(edit(id, { channel: 'linkedin' }))).toHaveProperty('channel');
    expect(await faults(edit(id, {}))).toHaveProperty(['']);
    expect((await read(id)).body).toMatchObject({ name: 'welcome', version: 1 });
  });

  it('returns 404 for a sequence that does not exist, as do the other paths', async () => {
    for (const id of ['9', 'x', '99999999999999999999'])
      for (const { status } of [
        await edit(id, { name: 'n' }),
        await read(id),
        await preview(id, { account_id: account }),
        await enrol(id, person('ann')),
      ])
        expect([id, status]).toEqual([id, 404]);
  });
});

describe('POST /api/sequences/:id/enrolments', () => {
  const variables = (variables: object) => ({ variables });
  const manyVariables = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`v${n}`, 'x']));
  it.each<[name: string, changes: object, field: string, says?: RegExp]>([
    ['neither an address nor a chat', { recipient: undefined }, 'recipient', /give a chat_id/],
    [
      'a missing variable',
      variables({ first_name: 'x' }),
      'variables.company',
      /^step 2 asks for {{company}}, and it is not given$/,
    ],
    [
      'an invalid name of a variable',
      variables({ 'First name': 'x' }),
      'variables.First name',
      /lower-case letters, digits and _/,
    ],
    [
      'a variable of null',
      variables({ first_name: null }),
      'variables.first_name',
      /neither a text nor a number/,
    ],
    ['a long variable', variables({ first_name: 'x'.repeat(2_001) }), 'variables.first_name'],
    ['51 variables', variables(manyVariables), 'variables', /at most 50/],
    ['a start in words', { start_at: 'tomorrow' }, 'start_at', /instant/],
    ['an unknown account', { account_id: crypto.randomUUID() }, 'account_id', /^there is no such account$/],
  ])('refuses a person with %s', async (_name, changes, field, says = /\w/) => {
    const id = await add([message(), question()]);
    const { body } = await enrol(id, [person('ann'), person('bob', changes)]);
    expect(body.error.errors).toEqual([{ index: 1, field, message: expect.stringMatching(says) }]);
    expect(await enrolled()).toEqual([]);
  });

  it('enrols a person again only with ?again=true', async () => {
    const id = await add();
    await enrol(id, person('ann'));
    await database.rpc('stop_enrolment', { p_id: 1 });
    const existing = { rows: [{ created: false, status: 'stopped' }] };
    expect(await enrol(id, person('ann'))).toMatchObject({ status: 200, body: existing });
    expect((await enrol(id, person('ann'), '?again=yes')).status).toBe(400);
    const created = { rows: [{ created: true }] };
    expect(await enrol(id, person('ann'), '?again=true')).toMatchObject({ status: 201, body: created });
  });

  it('accepts numbers as variables, and stores them as text', async () => {
    const id = await add([message('{{first_name}} {{age}}')]);
    expect((await enrol(id, person('ann', variables({ first_name: 'Ann', age: 42 })))).status).toBe(201);
    expect(
      await database.sql(`select variables->'age' = '"42"' as is_text from punctual.enrolments`),
    ).toEqual([{ is_text: true }]);
  });
});

it('POST /api/sequences/:id/preview returns the messages that a person would get, and enrols nobody', async () => {
  const id = await add([message(), question({ delay_seconds: 60 })]);
  const { variables } = person('Ann');
  expect(await preview(id, { account_id: account, variables })).toMatchObject({
    status: 200,
    body: { steps: [{ body: 'Hi Ann' }, { body: 'How is Acme?', kind: 'question' }] },
  });
  const missing = await faults(preview(id, { account_id: account }));
  expect(Object.keys(missing)).toEqual(['variables.company', 'variables.first_name']);
  expect(await enrolled()).toEqual([]);
});
