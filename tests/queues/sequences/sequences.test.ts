import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { POST as ENROL } from '../../../app/api/sequences/[id]/enrolments/route.ts';
import { POST as PREVIEW } from '../../../app/api/sequences/[id]/preview/route.ts';
import { GET as GET_ONE, PATCH } from '../../../app/api/sequences/[id]/route.ts';
import { GET, POST } from '../../../app/api/sequences/route.ts';
import { placeholderFaults } from '../../../lib/queues/sequences/placeholders.ts';
import { answered, apiRequest, cookie, stubSecrets, withKey } from '../../support/api-server.ts';
import { exchanges } from '../../support/exchanges.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { assertProperty } from '../../support/property.ts';

const database = servedDatabase();
let account: string;

beforeEach(async () => {
  account = await exchanges(database).addAccount({ name: 'Ann' });
});

const request = (method: string, path: string, headers = withKey, body?: unknown) =>
  apiRequest(method, `/api/sequences${path}`, headers, JSON.stringify(body));
const one = (id: string) => ({ params: Promise.resolve({ id }) });
const create = (body: unknown, headers = withKey) => answered(POST(request('POST', '', headers, body)));
const read = (id: string, headers = withKey) => answered(GET_ONE(request('GET', `/${id}`, headers), one(id)));
const edit = (id: string, body: unknown) =>
  answered(PATCH(request('PATCH', `/${id}`, withKey, body), one(id)));
const preview = (id: string, body: unknown) =>
  answered(PREVIEW(request('POST', `/${id}/preview`, withKey, body), one(id)));
const enrol = (id: string, body: unknown, query = '') =>
  answered(ENROL(request('POST', `/${id}/enrolments${query}`, withKey, body), one(id)));

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
const faults = ({ body }: { body: { error: { errors: { field: string; message: string }[] } } }) =>
  Object.fromEntries(body.error.errors.map(({ field, message }) => [field, message]));
const count = async () => (await database.sql('select count(*) from punctual.enrolments'))[0].count;

describe('POST /api/sequences', () => {
  it('returns the sequence with its defaults filled in', async () => {
    const { status, body } = await create(sequence([message(), question({ delay_seconds: 60 })]));
    expect(status).toBe(201);
    expect(body).toMatchObject({
      name: 'welcome',
      version: 1,
      time_zone: null,
      placeholders: ['company', 'first_name'],
      steps: [
        {
          kind: 'message',
          delay_seconds: 0,
          hours: null,
          template: null,
          on_reply: 'stop',
          reminder: null,
          no_reply: null,
        },
        { kind: 'question', delay_seconds: 60, on_reply: 'continue' },
      ],
      funnel: { enrolled: 0, steps: [{ step: 1, sent: 0 }, { step: 2 }] },
    });
    expect((await read(body.id)).body).toEqual(body);
    expect((await answered(GET(request('GET', '')))).body).toEqual({ sequences: [body], next: null });
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
    const { status, body } = await create(
      sequence([step], { channel: 'whatsapp', time_zone: 'Europe/Berlin' }),
    );
    expect(status).toBe(201);
    expect(body).toMatchObject({ time_zone: 'Europe/Berlin', steps: [step] });
  });

  it('names every fault of a step by its path', async () => {
    const template = { name: 'welcome', language: 'en', parameters: ['{{1}}'] };
    const refused = await create(
      sequence([
        message('Hi {{First name}}, {{x'),
        question({
          reminder: { after_seconds: 60, body: '' },
          no_reply: { after_seconds: 60, action: 'stop' },
        }),
        message('x', { reminder: { after_seconds: 60, body: 'x' }, template }),
        message('x', { hours: { mon: ['9-12'] }, delay_seconds: -1 }),
        message('x', { surprise: 1 }),
        message('x'.repeat(8_001)),
      ]),
    );
    expect(refused.status).toBe(422);
    const errors = faults(refused);
    expect(Object.keys(errors).sort()).toEqual([
      'steps.0.body',
      'steps.1.reminder',
      'steps.1.reminder.body',
      'steps.2.reminder',
      'steps.2.template',
      'steps.2.template.parameters.0',
      'steps.3.delay_seconds',
      'steps.3.hours.mon.0',
      'steps.4.surprise',
      'steps.5.body',
    ]);
    expect(refused.body.error.errors[0].message).toBe(
      'has "{{First name}}" at character 4, which is not a placeholder: write {{first_name}}, up to 40 lower-case letters, digits and _, beginning with a letter',
    );
    expect(refused.body.error.errors[1].message).toBe(
      'has a {{ at character 20 that is not closed: write {{first_name}}',
    );
    const late = question({
      reminder: { after_seconds: 60, body: 'x' },
      no_reply: { after_seconds: 60, action: 'stop' },
    });
    expect(faults(await create(sequence([late])))).toEqual({
      'steps.0.reminder': 'comes after no_reply ends the wait: make its after_seconds shorter',
    });
    const withReminder = message('x', { reminder: { after_seconds: 60, body: 'x' } });
    expect(faults(await create(sequence([withReminder])))).toEqual({
      'steps.0.reminder': 'is only for questions: a message does not wait for a reply',
    });
    const withNoReply = message('x', { no_reply: { after_seconds: 60, action: 'stop' } });
    expect(faults(await create(sequence([withNoReply])))).toEqual({
      'steps.0.no_reply': 'is only for questions: a message does not wait for a reply',
    });
    const slow = message('x', { delay_seconds: 31_536_001 });
    expect(Object.keys(faults(await create(sequence([slow]))))).toEqual(['steps.0.delay_seconds']);
    expect((await answered(GET(request('GET', '')))).body).toEqual({ sequences: [], next: null });
  });

  it('refuses a sequence without steps or with too many, or with an invalid channel, time zone or name', async () => {
    for (const [given, field] of [
      [sequence([]), 'steps'],
      [sequence(Array(51).fill(message('x'))), 'steps'],
      [sequence([message()], { channel: 'fax' }), 'channel'],
      [sequence([message()], { time_zone: 'Mars/Olympus' }), 'time_zone'],
      [sequence([message()], { name: ' ' }), 'name'],
      [{}, 'name'],
      [null, ''],
    ] as const) {
      const refused = await create(given);
      expect(refused.status, field).toBe(422);
      expect(Object.keys(faults(refused)), JSON.stringify(given).slice(0, 60)).toContain(field);
    }
  });

  it('refuses a name in use, and names the sequence that has it', async () => {
    const id = await add();
    const refused = await create(sequence());
    expect(refused.status).toBe(422);
    expect(faults(refused)).toEqual({
      name: `there is a sequence of that name, ${id}: choose another, or PATCH that one`,
    });
  });

  it('requires a key or a session', async () => {
    expect((await create(sequence(), {})).status).toBe(401);
    const id = await add();
    expect((await read(id, {})).status).toBe(401);
    expect((await read(id, cookie())).status).toBe(200);
  });

  it('allows reads but no writes without a key if the dashboard is open', async () => {
    const id = await add();
    stubSecrets({ password: '' });
    vi.stubEnv('NODE_ENV', 'development');
    expect((await read(id, {})).status).toBe(200);
    expect((await answered(GET(request('GET', '', {})))).status).toBe(200);
    expect((await create(sequence(), {})).status).toBe(401);
  });
});

describe('PATCH /api/sequences/:id', () => {
  it('makes new steps a new version, and enrolled people keep theirs', async () => {
    const id = await add();
    await enrol(id, person('ann'));
    const edited = await edit(id, { name: 'hello', steps: [question()] });
    expect(edited).toMatchObject({ status: 200, body: { name: 'hello', version: 2 } });
    await enrol(id, person('bob'));
    expect(await database.sql('select version from punctual.enrolments order by id')).toEqual([
      { version: 1 },
      { version: 2 },
    ]);
  });

  it('refuses to leave no step, and changes nothing', async () => {
    const id = await add();
    const refused = await edit(id, { name: 'hello', steps: [] });
    expect(refused.status).toBe(422);
    expect(faults(refused)).toEqual({ steps: 'is empty: a sequence needs at least one step' });
    expect((await read(id)).body).toMatchObject({ name: 'welcome', version: 1 });
  });

  it('limits texts by the sequence’s channel, and refuses another channel', async () => {
    const id = await add([message('x')], { channel: 'whatsapp' });
    expect(faults(await edit(id, { steps: [message('x'.repeat(4_097))] }))).toHaveProperty('steps.0.body');
    expect((await edit(id, { channel: 'linkedin' })).status).toBe(422);
    expect((await edit(id, {})).status).toBe(422);
  });

  it('returns 404 for a sequence that does not exist', async () => {
    for (const id of ['9', 'x', '99999999999999999999']) {
      expect((await edit(id, { name: 'n' })).status, id).toBe(404);
      expect((await read(id)).status, id).toBe(404);
      expect((await preview(id, { account_id: account })).status, id).toBe(404);
      expect((await enrol(id, person('ann'))).status, id).toBe(404);
    }
  });
});

describe('POST /api/sequences/:id/enrolments', () => {
  it('enrols nobody if one of 1,000 people lacks a variable, and names the person and the variable', async () => {
    const id = await add([message(), question()]);
    const people = Array.from({ length: 1_000 }, (_, n) =>
      person(`p${n}`, n === 777 ? { variables: { first_name: 'x' } } : {}),
    );
    expect(await enrol(id, people)).toMatchObject({
      status: 422,
      body: {
        error: {
          message: 'nobody was enrolled; correct these fields and send all rows again',
          errors: [
            {
              index: 777,
              field: 'variables.company',
              message: 'step 2 asks for {{company}}, and it is not given',
            },
          ],
        },
      },
    });
    expect(await count()).toBe(0);
  });

  it('names every fault of a person', async () => {
    const id = await add();
    const refused = await enrol(id, [
      person('ann', { recipient: undefined }),
      person('bob', { variables: { 'First name': 'x', first_name: 'x' } }),
      person('eve', { start_at: 'tomorrow' }),
      person('joe', { account_id: 'x' }),
      person('sue', { variables: { first_name: null } }),
      person('tim', { variables: { first_name: 'x'.repeat(2_001) } }),
      person('kim', { variables: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`v${n}`, 'x'])) }),
    ]);
    expect(
      refused.body.error.errors.map(({ index, field }: { index: number; field: string }) => [index, field]),
    ).toEqual([
      [0, 'recipient'],
      [1, 'variables.First name'],
      [2, 'start_at'],
      [3, 'account_id'],
      [4, 'variables.first_name'],
      [5, 'variables.first_name'],
      [6, 'variables'],
    ]);
    expect(refused.body.error.errors[4].message).toBe('is neither a text nor a number');
    expect((await enrol(id, person('ann', { account_id: crypto.randomUUID() }))).body.error.errors).toEqual([
      { index: 0, field: 'account_id', message: 'there is no such account' },
    ]);
    expect(await count()).toBe(0);
  });

  it('refuses a person whose variables make a text too long for its channel', async () => {
    const id = await add([message('{{a}}{{b}}{{a}}')], { channel: 'whatsapp' });
    const given = { a: 'a'.repeat(2_000), b: 'b'.repeat(96) };
    expect((await enrol(id, person('ann', { variables: given }))).status).toBe(201);
    const refused = await enrol(id, person('bob', { variables: { ...given, b: 'b'.repeat(97) } }));
    expect(refused.status).toBe(422);
    expect(refused.body.error.errors).toEqual([
      {
        index: 0,
        field: 'variables',
        message: 'the body of step 1 becomes 4097 characters for this person; whatsapp takes 4096',
      },
    ]);
  });

  it('enrols a person again only with ?again=true', async () => {
    const id = await add();
    await enrol(id, person('ann'));
    await database.rpc('stop_enrolment', { p_id: 1 });
    expect(await enrol(id, person('ann'))).toMatchObject({
      status: 200,
      body: { rows: [{ created: false, status: 'stopped' }] },
    });
    expect((await enrol(id, person('ann'), '?again=yes')).status).toBe(400);
    expect(await enrol(id, person('ann'), '?again=true')).toMatchObject({
      status: 201,
      body: { rows: [{ created: true }] },
    });
  });

  it('accepts numbers as variables, and stores them as text', async () => {
    const id = await add([message('{{first_name}} {{age}}')]);
    expect((await enrol(id, person('ann', { variables: { first_name: 'Ann', age: 42 } }))).status).toBe(201);
    expect(await database.sql('select variables from punctual.enrolments')).toEqual([
      { variables: { first_name: 'Ann', age: 42 } },
    ]);
    const [{ kind }] = await database.sql(
      `select jsonb_typeof(variables->'age') as kind from punctual.enrolments`,
    );
    expect(kind).toBe('string');
  });
});

describe('POST /api/sequences/:id/preview', () => {
  it('returns the messages that a person would get, and enrols nobody', async () => {
    const id = await add([message(), question({ delay_seconds: 60 })]);
    const previewed = await preview(id, {
      account_id: account,
      variables: { first_name: 'Ann', company: 'Acme' },
    });
    expect(previewed).toMatchObject({
      status: 200,
      body: { steps: [{ body: 'Hi Ann' }, { body: 'How is Acme?', kind: 'question' }] },
    });
    expect(await preview(id, { account_id: account })).toMatchObject({
      status: 422,
      body: { error: { errors: [{ field: 'variables.company' }, { field: 'variables.first_name' }] } },
    });
    expect(await count()).toBe(0);
  });
});

describe('placeholders', () => {
  const plain = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((text) => !/[{}]/.test(text));
  const spaces = fc.constantFrom('', ' ', '  ');
  const valid = fc
    .tuple(spaces, fc.stringMatching(/^[a-z][a-z0-9_]{0,39}$/), spaces)
    .map(([before, name, after]) => `{{${before}${name}${after}}}`);
  const texts = fc.array(fc.oneof(plain, valid), { maxLength: 8 }).map((parts) => parts.join(''));

  it('of the right form are accepted in any position', async () => {
    await assertProperty(
      fc.property(texts, (text) => {
        expect(placeholderFaults(text)).toEqual([]);
      }),
    );
  });

  it('of another form are each reported with their position', async () => {
    const badName = fc.oneof(
      fc.constantFrom(
        '',
        ' ',
        'A',
        '1',
        '_a',
        'a-b',
        'a b',
        'a.b',
        'é',
        'a\n',
        '\ta',
        '{a',
        'a{',
        'a'.repeat(41),
      ),
      plain.filter((name) => !/^ *[a-z][a-z0-9_]* *$/.test(name)),
    );
    await assertProperty(
      fc.property(texts, badName, texts, badName, texts, (one, first, two, second, three) => {
        const faults = placeholderFaults(`${one}{{${first}}}${two}{{${second}}}${three}`);
        const places = faults.map((fault) => Number(/at character (\d+)/.exec(fault)?.[1]));
        const begin = one.length + 1;
        expect(places).toEqual([begin, begin + first.length + 4 + two.length]);
        for (const fault of faults) expect(fault).toContain('not a placeholder: write {{first_name}}');
      }),
    );
  });

  it('that are not closed are reported, whatever follows', async () => {
    await assertProperty(
      fc.property(texts, plain, texts, (one, rest, two) => {
        const faults = placeholderFaults(`${one}{{${rest}${two}`);
        expect(faults).toEqual([
          `has a {{ at character ${one.length + 1} that is not closed: write {{first_name}}`,
        ]);
      }),
    );
  });

  it('that are accepted are all filled in, and nothing else is', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '{{a}}',
        '{{ b_1 }}',
        '{',
        '}',
        '}}',
        ' ',
        '{{',
        '{{}}',
        '{{A}}',
        '$1',
        '\\1',
        'é',
        '\n',
        '&',
        '{{\u00a0a}}',
        '{{a\t}}',
        '{{a}}}',
      ),
      fc.string({ maxLength: 5 }).filter((text) => text.isWellFormed() && !text.includes('\0')),
    );
    await assertProperty(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        const text = pieces.join('');
        if (placeholderFaults(text).length > 0) return;
        const variables: Record<string, string> = { a: '{{b_1}} $& \\0', b_1: 'B' };
        const [{ filled }] = await database.sql(
          `select jsonb_build_object($3::text, '=' || punctual.fill_in($1, $2)) as filled`,
          [text, JSON.stringify(variables), 'it'],
        );
        const expected = text.split(/(\{\{ *[a-z][a-z0-9_]* *\}\})/).map((part): string | null => {
          const name = /^\{\{ *([a-z][a-z0-9_]*) *\}\}$/.exec(part)?.[1];
          return name === undefined ? part : (variables[name] ?? null);
        });
        expect(filled.it).toBe(expected.includes(null) ? null : `=${expected.join('')}`);
      }),
      { numRuns: 200 },
    );
  });
});
