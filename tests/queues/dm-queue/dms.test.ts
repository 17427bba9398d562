import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { POST } from '../../../app/api/dms/route.ts';
import type { InsertedRow } from '../../../lib/http/input/insert-many.ts';
import { API_KEY, apiRequest, cookie, PASSWORD, withKey } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { assertProperty } from '../../support/property.ts';

const database = servedDatabase({}, { password: '' });
let account: string;

beforeEach(async () => {
  await database.sql('delete from punctual.dm_queue');
  await database.sql('delete from punctual.accounts');
  [{ id: account }] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'ann', 'Ann') returning id`,
  );
});

const send = (body: BodyInit, headers = withKey) => POST(apiRequest('POST', '/api/dms', headers, body));

async function enqueue(value: unknown): Promise<{ status: number; rows: InsertedRow[] }> {
  const response = await send(JSON.stringify(value));
  const json = await response.json();
  expect(json.error).toBeUndefined();
  return { status: response.status, rows: json.rows };
}

/** Returns the errors as `[index, field]`, and expects that nothing was stored. */
async function refusal(value: unknown): Promise<[index: number | null, field: string][]> {
  const before = await count();
  const response = await send(JSON.stringify(value));
  const { error } = await response.json();
  expect({ status: response.status, kind: error?.kind }).toEqual({ status: 422, kind: 'invalid' });
  expect(await count()).toBe(before);
  for (const { message } of error.errors) expect(message).toMatch(/\w/);
  return error.errors.map(({ index, field }: { index: number | null; field: string }) => [index, field]);
}

const dm = (changes: object = {}) => ({
  account_id: account,
  channel: 'linkedin',
  recipient: 'bob',
  body: 'hello',
  ...changes,
});

const stored = () => database.sql('select * from punctual.dm_queue order by id');
async function count(): Promise<number> {
  const [{ n }] = await database.sql('select count(*)::integer as n from punctual.dm_queue');
  return n;
}

describe('POST /api/dms', () => {
  it('stores one message, due at once', async () => {
    const { status, rows } = await enqueue(dm());
    expect(status).toBe(201);
    expect(rows).toEqual([{ id: expect.stringMatching(/^\d+$/), status: 'pending', created: true }]);
    const [row] = await stored();
    expect(row).toMatchObject({
      id: Number(rows[0]?.id),
      account_id: account,
      channel: 'linkedin',
      chat_id: null,
      recipient: 'bob',
      body: 'hello',
      status: 'pending',
      priority: 1,
      attempts: 0,
      expires_at: null,
      idempotency_key: null,
    });
    expect(Math.abs(Date.parse(row.send_at) - Date.now())).toBeLessThan(10_000);
  });

  it('stores every field as it was sent', async () => {
    const full = {
      account_id: account,
      channel: 'whatsapp',
      chat_id: 'chat',
      recipient: '+49151',
      body: '  línea 1\r\nline 2\t👩‍👩‍👧 "quoted" \\u0000 🏳️‍🌈 \u202e ',
      send_at: '2026-07-01T09:30:00.123456+02:00',
      priority: 0,
      expires_at: '2026-07-01T12:00:00Z',
      idempotency_key: 'order 7 / ü',
    };
    await enqueue(full);
    const [{ send_at, expires_at, ...row }] = await stored();
    const { send_at: _due, expires_at: _end, ...input } = full;
    expect(row).toMatchObject(input);
    expect(new Date(send_at).toISOString()).toBe('2026-07-01T07:30:00.123Z');
    expect(new Date(expires_at).toISOString()).toBe('2026-07-01T12:00:00.000Z');
  });

  it('shows an example of an instant if it cannot read one', async () => {
    for (const send_at of ['tomorrow', null]) {
      const { error } = await (await send(JSON.stringify(dm({ send_at })))).json();
      expect(error.errors).toMatchObject([
        { message: 'must be an instant with an offset, for example 2026-03-02T14:00:00Z' },
      ]);
    }
  });

  it('stores nothing if one account does not exist', async () => {
    const stranger = '3f2a1b4c-5d6e-4f70-8a9b-0c1d2e3f4a5b';
    expect(await refusal([dm(), dm({ account_id: stranger }), dm()])).toEqual([[1, 'account_id']]);
  });

  it('accepts account ids of any UUID version, as Postgres does', async () => {
    const plain = '11111111-1111-1111-1111-111111111111';
    await database.sql(
      `insert into punctual.accounts (id, provider, provider_account_id, name) values ($1, 'unipile', 'by hand', 'By hand')`,
      [plain],
    );
    expect((await enqueue(dm({ account_id: plain }))).status).toBe(201);
  });

  it('accepts texts up to the limit of their channel', async () => {
    const { rows } = await enqueue([
      dm({ body: 'x'.repeat(8_000) }),
      dm({ channel: 'whatsapp', body: 'x'.repeat(4_096) }),
    ]);
    expect(rows).toHaveLength(2);
  });

  it('stores a template for WhatsApp, and refuses the same key with another template', async () => {
    const template = { name: 'day_1', language: 'pt_BR', parameters: ['Ada', '{{2}} 👋'] };
    const input = dm({ channel: 'whatsapp', template, idempotency_key: 'order-1' });
    await enqueue(input);
    expect((await enqueue(input)).rows[0]?.created).toBe(false);
    expect(await stored()).toMatchObject([{ template }]);
    const other = { ...input, template: { ...template, parameters: [] } };
    expect(await refusal(other)).toEqual([[0, 'idempotency_key']]);
  });

  const template = (changes: object) => ({
    channel: 'whatsapp',
    template: { name: 'day_1', language: 'en', parameters: ['Ada'], ...changes },
  });
  const wrong: [name: string, changes: object, fields: string[]][] = [
    ['an unknown field', { subject: 'hi' }, ['subject']],
    ['several unknown fields', { subject: 'hi', status: 'sent' }, ['subject, status']],
    ['a column that the caller may not set', { status: 'sent' }, ['status']],
    ['an empty body', { body: '' }, ['body']],
    ['a missing body', { body: undefined }, ['body']],
    ['a body that is not a string', { body: 7 }, ['body']],
    ['a null body', { body: null }, ['body']],
    ['a body of 100 KB', { body: 'x'.repeat(100 * 1024) }, ['body']],
    ['a body too long for WhatsApp', { channel: 'whatsapp', body: 'x'.repeat(4_097) }, ['body']],
    ['a template for LinkedIn', { ...template({}), channel: 'linkedin' }, ['template']],
    ['an invalid template name', template({ name: 'Day 1' }), ['template.name']],
    ['a template’s language in words', template({ language: 'English' }), ['template.language']],
    ['an empty parameter', template({ parameters: ['Ada', ''] }), ['template.parameters.1']],
    ['a parameter of two lines', template({ parameters: ['a\nb'] }), ['template.parameters.0']],
    ['NUL in a parameter', template({ parameters: ['\0'] }), ['template.parameters.0']],
    ['an unknown field of a template', template({ header: 'x' }), ['template.header']],
    ['NUL in the body', { body: 'a\0b' }, ['body']],
    ['half an emoji in the body', { body: 'a\ud83d' }, ['body']],
    ['the other half of an emoji in the body', { body: '\udc4b' }, ['body']],
    ['NUL in the recipient', { recipient: 'bob\0' }, ['recipient']],
    ['half an emoji in the chat', { chat_id: '\ud83d' }, ['chat_id']],
    ['NUL in the key', { idempotency_key: '\0' }, ['idempotency_key']],
    ['an empty key', { idempotency_key: '' }, ['idempotency_key']],
    ['a key of 201 characters', { idempotency_key: 'k'.repeat(201) }, ['idempotency_key']],
    ['no recipient', { recipient: undefined }, ['recipient']],
    ['an empty recipient', { recipient: '' }, ['recipient']],
    ['a recipient of 100 KB', { recipient: 'x'.repeat(100 * 1024) }, ['recipient']],
    ['an account that is not a UUID', { account_id: 'ann' }, ['account_id']],
    ['an account that is a number', { account_id: 1 }, ['account_id']],
    ['no account', { account_id: undefined }, ['account_id']],
    ['an unknown channel', { channel: 'LinkedIn' }, ['channel']],
    ['a priority of 4', { priority: 4 }, ['priority']],
    ['a priority of -1', { priority: -1 }, ['priority']],
    ['a fractional priority', { priority: 0.5 }, ['priority']],
    ['a priority that is a string', { priority: '1' }, ['priority']],
    ['a null time', { send_at: null }, ['send_at']],
    ['a time without a zone', { send_at: '2026-07-01T09:30:00' }, ['send_at']],
    ['a date without a time', { send_at: '2026-07-01' }, ['send_at']],
    ['a time in words', { send_at: 'tomorrow at noon' }, ['send_at']],
    ['infinity', { send_at: 'infinity' }, ['send_at']],
    ['a time in milliseconds', { send_at: 1_782_894_600_000 }, ['send_at']],
    ['the 30th of February', { send_at: '2026-02-30T09:30:00Z' }, ['send_at']],
    ['hour 25', { send_at: '2026-07-01T25:00:00Z' }, ['send_at']],
    // Postgres has no year 0, and no zone offset above 16 hours.
    ['the year 0', { send_at: '0000-01-01T00:00:00Z' }, ['send_at']],
    ['the year 0 as the expiry', { expires_at: '0000-06-01T00:00:00Z' }, ['expires_at']],
    ['a zone offset of a day', { send_at: '2026-07-01T09:30:00+23:59' }, ['send_at']],
    ['an expiry without a zone', { expires_at: '2026-07-01T09:30:00' }, ['expires_at']],
  ];
  it.each(wrong)('refuses %s, and names the field', async (_name, changes, fields) => {
    expect(await refusal([dm(), dm(changes)])).toEqual(fields.map((field) => [1, field]));
  });

  it.each([
    ['in UTC', '2026-07-01T09:30:00Z', '2026-07-01T09:30:00.000Z'],
    ['east of UTC', '2026-07-01T09:30:00+05:45', '2026-07-01T03:45:00.000Z'],
    ['west of UTC', '2026-07-01T09:30:00.5-09:30', '2026-07-01T19:00:00.500Z'],
    ['in the easternmost zone', '2026-07-01T09:30:00+14:00', '2026-06-30T19:30:00.000Z'],
    ['with more digits than are stored', '2026-07-01T09:30:00.123456789Z', '2026-07-01T09:30:00.123Z'],
    ['in the year 1', '0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['in the year 9999', '9999-12-31T23:59:59Z', '9999-12-31T23:59:59.000Z'],
  ])('stores the right instant for a time %s', async (_name, sendAt, instant) => {
    await enqueue(dm({ send_at: sendAt }));
    const [{ due }] = await database.sql(
      `select to_char(send_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as due from punctual.dm_queue`,
    );
    expect(due).toBe(instant);
  });

  it.each<[name: string, body: BodyInit]>([
    ['an empty body', ''],
    ['truncated JSON', '{"account_id":'],
    ['a form', new URLSearchParams({ body: 'hello' })],
    ['bytes that are not UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['UTF-16', new Uint8Array(Buffer.from('{"body":"hello"}', 'utf16le'))],
  ])('returns 400 for %s', async (_name, body) => {
    const response = await send(body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { kind: 'invalid_json' } });
  });

  it('accepts a byte order mark', async () => {
    expect((await send(`\ufeff${JSON.stringify(dm())}`)).status).toBe(201);
  });

  it('returns 413 for more than 32 MB, whether or not the length was announced', async () => {
    const tooMuch = new Uint8Array(32 * 1024 * 1024 + 1).fill(0x20);
    for (const response of [
      await send(tooMuch),
      await send('{}', { ...withKey, 'content-length': String(tooMuch.length) }),
    ]) {
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({ error: { kind: 'too_large' } });
    }
  });

  it('stops reading an endless body at 32 MB', async () => {
    let pulled = 0;
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    const body = new ReadableStream({
      pull(controller) {
        pulled += 1;
        controller.enqueue(chunk);
      },
    });
    const options = { method: 'POST', headers: withKey, body, duplex: 'half' };
    const response = await POST(new Request('http://app.test/api/dms', options as RequestInit));
    expect(response.status).toBe(413);
    expect(pulled).toBeLessThan(40);
  });

  it.each([null, true, 7, 'hello', [[]], [null]])('refuses %j as a message', async (value) => {
    expect(await refusal(value)).toEqual([[0, '']]);
  });
});

describe('an idempotency key', () => {
  it('that exists already returns its row, in any state', async () => {
    const first = await enqueue(dm({ idempotency_key: 'order-1' }));
    await database.sql(`update punctual.dm_queue set status = 'sent', chat_id = 'chat-of-bob'`);
    const repeated = await enqueue(dm({ idempotency_key: 'order-1' }));
    expect(repeated.status).toBe(200);
    expect(repeated.rows).toEqual([{ id: first.rows[0]?.id, status: 'sent', created: false }]);
    expect(await count()).toBe(1);
  });

  it('that exists already changes nothing of its row, not even its time', async () => {
    await enqueue(dm({ idempotency_key: 'order-1', send_at: '2026-07-01T09:30:00Z', priority: 2 }));
    const before = await stored();
    await enqueue(dm({ idempotency_key: 'order-1', send_at: '2026-08-01T09:30:00Z', priority: 0 }));
    expect(await stored()).toEqual(before);
  });

  it.each([
    ['body', { body: 'goodbye' }],
    ['recipient', { recipient: 'carol' }],
    ['chat', { chat_id: 'chat-of-carol' }],
    ['channel', { channel: 'whatsapp' }],
  ])('is refused for a message with another %s', async (_name, changes) => {
    await enqueue(dm({ idempotency_key: 'order-1' }));
    expect(await refusal([dm(), dm({ idempotency_key: 'order-1', ...changes })])).toEqual([
      [1, 'idempotency_key'],
    ]);
  });

  it('is refused for a message of another account', async () => {
    await enqueue(dm({ idempotency_key: 'order-1' }));
    const [{ id }] = await database.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'eve', 'Eve') returning id`,
    );
    expect(await refusal(dm({ idempotency_key: 'order-1', account_id: id }))).toEqual([
      [0, 'idempotency_key'],
    ]);
  });

  it('that exists already does not block new messages of the same call', async () => {
    const first = await enqueue(dm({ idempotency_key: 'order-1' }));
    const both = await enqueue([dm({ idempotency_key: 'order-1' }), dm({ idempotency_key: 'order-2' })]);
    expect(both.status).toBe(201);
    expect(both.rows.map(({ created }) => created)).toEqual([false, true]);
    expect(both.rows[0]?.id).toBe(first.rows[0]?.id);
  });

  it('used twice for one message in one call makes one row', async () => {
    const twice = dm({ idempotency_key: 'order-1' });
    const { rows } = await enqueue([twice, dm(), twice, dm()]);
    expect(rows.map(({ created }) => created)).toEqual([true, true, false, true]);
    expect(rows[2]?.id).toBe(rows[0]?.id);
    expect(await count()).toBe(3);
  });

  it('used for two different messages in one call is refused for both', async () => {
    const input = [dm({ idempotency_key: 'order-1' }), dm({ idempotency_key: 'order-1', body: 'goodbye' })];
    expect(await refusal(input)).toEqual([
      [0, 'idempotency_key'],
      [1, 'idempotency_key'],
    ]);
  });

  it('makes one row of each message in two concurrent identical calls', async () => {
    const input = Array.from({ length: 50 }, (_, n) => dm({ idempotency_key: `order-${n}` }));
    const [one, two] = await Promise.all([enqueue(input), enqueue(input)]);
    expect(await count()).toBe(50);
    expect(one.rows.map(({ id }) => id)).toEqual(two.rows.map(({ id }) => id));
    one.rows.forEach((row, n) => {
      expect(row.created).not.toBe(two.rows[n]?.created);
    });
  });

  it('is optional: the same message without one is stored each time', async () => {
    await enqueue([dm(), dm()]);
    await enqueue(dm());
    expect(await count()).toBe(3);
  });
});

describe('access', () => {
  const kind = async (response: Response) => (await response.json()).error.kind;

  it('is refused without the key', async () => {
    const guesses: (typeof withKey)[] = [
      {},
      { authorization: 'Bearer guess' },
      { authorization: API_KEY },
      { 'x-api-key': API_KEY },
    ];
    for (const headers of guesses) {
      const response = await send(JSON.stringify(dm()), headers);
      expect(response.status).toBe(401);
      expect(await kind(response)).toBe('unauthorised');
    }
    expect(await count()).toBe(0);
  });

  it.each([undefined, ''])('is refused while API_KEY is %j, and the error names it', async (value) => {
    vi.stubEnv('API_KEY', value);
    const guesses: (typeof withKey)[] = [
      {},
      { authorization: 'Bearer ' },
      { authorization: 'Bearer undefined' },
    ];
    for (const headers of guesses) {
      const response = await send(JSON.stringify(dm()), headers);
      expect(response.status).toBe(503);
      const { error } = await response.json();
      expect(error.kind).toBe('not_configured');
      expect(error.message).toContain('API_KEY');
    }
    expect(await count()).toBe(0);
  });

  it('is granted to the dashboard, with its cookie and from its own origin', async () => {
    vi.stubEnv('DASHBOARD_PASSWORD', PASSWORD);
    const headers = { ...cookie(), origin: 'http://app.test' };
    expect((await send(JSON.stringify(dm()), headers)).status).toBe(201);
  });

  it.each<Record<string, string>>([
    { origin: 'http://evil.test' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', origin: 'http://app.test' },
    {},
  ])('is refused to another site that makes a browser send the cookie: %j', async (headers) => {
    vi.stubEnv('DASHBOARD_PASSWORD', PASSWORD);
    const response = await send(JSON.stringify(dm()), { ...cookie(), ...headers });
    expect(response.status).toBe(403);
    expect(await kind(response)).toBe('cross_origin');
    expect(await count()).toBe(0);
  });
});

describe('any request body', () => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(
      '\0',
      '\ud83d',
      '\udc4b',
      '👋',
      'x'.repeat(9_000),
      '__proto__',
      "'; drop table dms --",
      '',
    ),
    fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 })
      .map((units) => String.fromCharCode(...units)),
  );
  const anyInstant = fc.oneof(
    fc
      .date({
        min: new Date('0000-01-01T00:00:00Z'),
        max: new Date('9999-12-31T23:59:59Z'),
        noInvalidDate: true,
      })
      .map((date) => date.toISOString()),
    fc
      .tuple(fc.constantFrom('+', '-'), fc.integer({ min: 0, max: 24 }), fc.integer({ min: 0, max: 60 }))
      .map(
        ([sign, hours, minutes]) =>
          `2026-07-01T09:30:00${sign}${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`,
      ),
    fc.constantFrom('infinity', '-infinity', 'now', 'epoch', '2026-07-01', '+010000-01-01T00:00:00Z'),
  );
  const mostly = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 12, arbitrary: usual as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: odd });
  const odd = fc.oneof(fc.jsonValue(), anyText);

  /** Mostly valid messages, so that many reach the database. */
  const nearlyDm = () =>
    fc.record(
      {
        account_id: mostly(fc.constantFrom(account, account.toUpperCase()), fc.oneof(fc.uuid(), odd)),
        channel: mostly(fc.constantFrom('linkedin', 'whatsapp'), odd),
        recipient: mostly(fc.constantFrom('bob', 'carol'), odd),
        body: mostly(fc.oneof(fc.constantFrom('hello', 'goodbye'), anyText), odd),
        chat_id: mostly(anyText, odd),
        send_at: mostly(anyInstant, odd),
        expires_at: mostly(anyInstant, odd),
        priority: mostly(fc.integer({ min: 0, max: 3 }), fc.oneof(fc.double(), odd)),
        idempotency_key: mostly(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), odd),
        subject: fc.constant(undefined),
      },
      { requiredKeys: ['account_id', 'channel', 'recipient', 'body'] },
    );

  it('gets a response in JSON without a 5xx, and makes as many rows as the response says', async () => {
    const bodies = fc.oneof(
      { weight: 4, arbitrary: nearlyDm().map((value) => JSON.stringify(value)) },
      { weight: 4, arbitrary: fc.array(nearlyDm(), { maxLength: 4 }).map((value) => JSON.stringify(value)) },
      { weight: 1, arbitrary: fc.json() },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => new Uint8Array(bytes)) },
    );
    const seen = new Set<number>();
    await assertProperty(
      fc.asyncProperty(bodies, async (body) => {
        const before = await count();
        const response = await send(body);
        const json = await response.json();
        seen.add(response.status);
        expect([200, 201, 400, 422], JSON.stringify(json)).toContain(response.status);
        expect(response.headers.get('content-type')).toContain('application/json');
        const rows: InsertedRow[] = json.rows ?? [];
        expect(json.error === undefined).toBe(rows.length > 0);
        expect((await count()) - before).toBe(rows.filter(({ created }) => created).length);
        const input: unknown = response.status < 300 ? JSON.parse(String(body)) : [];
        expect(rows).toHaveLength(Array.isArray(input) ? input.length : 1);
      }),
      { numRuns: 300 },
    );
    // Without a 201 this would test refusals only.
    expect(seen).toContain(201);
    expect(seen).toContain(422);
  });
});
