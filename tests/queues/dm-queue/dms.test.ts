import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as dmsApi } from '../../../lib/api/dms.ts';
import { answered, apiRequest, withKey } from '../../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../../support/fixtures.ts';

const { 'POST /dms': POST } = dmsApi;

const database = servedDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  account = await sql.addAccount();
});

const send = (body: BodyInit) => answered(POST(apiRequest('POST', '/api/dms', withKey, body)));
async function enqueue(value: unknown) {
  const { status, body } = await send(JSON.stringify(value));
  expect(body.error).toBeUndefined();
  return { status, rows: body.rows };
}
/** Returns the errors, and expects that nothing was stored. */
async function refusal(value: unknown) {
  const before = await count();
  const { status, body } = await send(JSON.stringify(value));
  expect({ status, kind: body.error?.kind }).toEqual({ status: 422, kind: 'invalid' });
  expect(await count()).toBe(before);
  return body.error.errors;
}

const dm = (changes: object = {}) => ({
  account_id: account,
  channel: 'linkedin',
  recipient: 'bob',
  body: 'hello',
  ...changes,
});
const stored = () => database.sql('select * from punctual.dm_queue order by id');
const count = async () => (await stored()).length;

describe('POST /api/dms', () => {
  it('stores a message, due at once', async () => {
    const { status, rows } = await enqueue(dm());
    expect(status).toBe(201);
    expect(rows).toEqual([{ id: expect.stringMatching(/^\d+$/), status: 'pending', created: true }]);
    const [row] = await stored();
    const defaults = { chat_id: null, priority: 1, attempts: 0, expires_at: null, idempotency_key: null };
    expect(row).toMatchObject({ ...dm(), ...defaults, id: Number(rows[0].id), status: 'pending' });
    expect(Math.abs(Date.parse(row.send_at) - Date.now())).toBeLessThan(10_000);
  });

  it('stores every field as it was sent', async () => {
    const full = {
      account_id: account,
      channel: 'whatsapp',
      chat_id: 'chat',
      recipient: '+49151',
      body: '  línea 1\r\nline 2\t👩‍👩‍👧 "quoted" \\u0000 🏳️‍🌈 \u202e ',
      template: { name: 'day_1', language: 'pt_BR', parameters: ['Ada', '{{2}} 👋'] },
      priority: 0,
      idempotency_key: 'order 7 / ü',
    };
    await enqueue({ ...full, send_at: '2026-07-01T09:30:00+02:00', expires_at: '2026-07-01T12:00:00Z' });
    const [row] = await stored();
    expect(row).toMatchObject(full);
    expect(new Date(row.send_at).toISOString()).toBe('2026-07-01T07:30:00.000Z');
    expect(new Date(row.expires_at).toISOString()).toBe('2026-07-01T12:00:00.000Z');
  });

  it('accepts account ids of any UUID version, as Postgres does, and texts up to the limit of their channel', async () => {
    const account_id = await sql.addAccount({ id: '11111111-1111-1111-1111-111111111111' });
    await enqueue(dm({ account_id, body: 'x'.repeat(8_000) }));
    await enqueue(dm({ channel: 'whatsapp', body: 'x'.repeat(4_096) }));
  });

  const template = (changes: object) => ({
    channel: 'whatsapp',
    template: { name: 'day_1', language: 'en', parameters: ['Ada'], ...changes },
  });
  const unstorable = /cannot be stored: NUL or half of a surrogate pair/;
  const noInstant = /^must be an instant with an offset, for example 2026-03-02T14:00:00Z$/;
  const outOfRange = /^is outside the range that the database can store$/;
  it.each<[name: string, changes: object, field: string, message?: RegExp]>([
    ['unknown fields', { subject: 'hi', status: 'sent' }, 'subject, status'],
    ['an empty body', { body: '' }, 'body', /^is empty$/],
    ['a body that is too long', { body: 'x'.repeat(8_001) }, 'body', /8001.*linkedin allows 8000/],
    ['a body too long for WhatsApp', { channel: 'whatsapp', body: 'x'.repeat(4_097) }, 'body', /allows 4096/],
    ['NUL in the body', { body: 'a\0b' }, 'body', unstorable],
    ['half an emoji in the body', { body: 'a\ud83d' }, 'body', unstorable],
    ['the other half in the recipient', { recipient: '\udc4b' }, 'recipient', unstorable],
    ['NUL in the chat', { chat_id: '\0' }, 'chat_id', unstorable],
    ['NUL in the key', { idempotency_key: '\0' }, 'idempotency_key', unstorable],
    ['an empty key', { idempotency_key: '' }, 'idempotency_key', /^is empty$/],
    ['a key of 201 characters', { idempotency_key: 'k'.repeat(201) }, 'idempotency_key'],
    ['neither a chat nor a recipient', { recipient: undefined }, 'recipient', /chat_id/],
    ['an empty recipient', { recipient: '' }, 'recipient', /^is empty$/],
    ['an unknown account', { account_id: '3f2a1b4c-5d6e-4f70-8a9b-0c1d2e3f4a5b' }, 'account_id'],
    ['an account that is not a UUID', { account_id: 'ann' }, 'account_id'],
    ['an unknown channel', { channel: 'LinkedIn' }, 'channel'],
    ['a priority of 4', { priority: 4 }, 'priority'],
    ['a template for LinkedIn', { ...template({}), channel: 'linkedin' }, 'template', /only for WhatsApp/],
    ['an invalid template name', template({ name: 'Day 1' }), 'template.name', /lower-case letters/],
    ['a template’s language in words', template({ language: 'English' }), 'template.language', /en_US/],
    ['an empty parameter', template({ parameters: ['Ada', ''] }), 'template.parameters.1', /^is empty$/],
    ['a parameter of two lines', template({ parameters: ['a\nb'] }), 'template.parameters.0', /line break/],
    ['NUL in a parameter', template({ parameters: ['\0'] }), 'template.parameters.0', unstorable],
    ['a null time', { send_at: null }, 'send_at', noInstant],
    ['a time without a zone', { send_at: '2026-07-01T09:30:00' }, 'send_at', noInstant],
    ['infinity', { send_at: 'infinity' }, 'send_at', noInstant],
    ['the 30th of February', { send_at: '2026-02-30T09:30:00Z' }, 'send_at', noInstant],
    // Postgres has no year 0, and no zone offset above 16 hours.
    ['the year 0', { send_at: '0000-01-01T00:00:00Z' }, 'send_at', outOfRange],
    ['a zone offset of a day', { send_at: '2026-07-01T09:30:00+23:59' }, 'send_at', outOfRange],
    ['the year 10000 in UTC', { send_at: '9999-12-31T23:59:59-01:00' }, 'send_at', outOfRange],
    ['an expiry without a zone', { expires_at: '2026-07-01T09:30:00' }, 'expires_at', noInstant],
  ])('refuses %s, and names the field', async (_name, changes, field, message = /\w/) => {
    expect(await refusal([dm(), dm(changes)])).toEqual([
      { index: 1, field, message: expect.stringMatching(message) },
    ]);
  });

  it.each([
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
    ['bytes that are not UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['UTF-16', new Uint8Array(Buffer.from('{"body":"hello"}', 'utf16le'))],
  ])('returns 400 for %s', async (_name, body) => {
    expect(await send(body)).toMatchObject({ status: 400, body: { error: { kind: 'invalid_json' } } });
  });

  it('accepts a byte order mark', async () => {
    expect((await send(`\ufeff${JSON.stringify(dm())}`)).status).toBe(201);
  });

  it.each([null, true, 7, 'hello', [[]], [null]])('refuses %j as a message', async (value) => {
    expect(await refusal(value)).toMatchObject([{ index: 0, field: '' }]);
  });
});

describe('an idempotency key', () => {
  const keyed = (changes: object = {}) => dm({ idempotency_key: 'order-1', ...changes });

  it('that exists already returns its row in any state, and changes nothing of it, not even its time', async () => {
    const [{ id }] = (await enqueue(keyed())).rows;
    await database.sql(`update punctual.dm_queue set status = 'sent', chat_id = 'chat-of-bob'`);
    const before = await stored();
    const repeated = await enqueue(keyed({ send_at: '2026-08-01T09:30:00Z', priority: 0 }));
    expect(repeated).toEqual({ status: 200, rows: [{ id, status: 'sent', created: false }] });
    expect(await stored()).toEqual(before);
  });

  it('is refused for a message with another body, recipient, chat, channel, account or template', async () => {
    const template = { name: 'day_1', language: 'en', parameters: ['Ada'] };
    await enqueue(keyed({ channel: 'whatsapp', template }));
    for (const changes of [
      { body: 'goodbye' },
      { recipient: 'carol' },
      { chat_id: 'chat-of-carol' },
      { channel: 'linkedin', template: undefined },
      { account_id: await sql.addAccount() },
      { template: { ...template, parameters: [] } },
    ]) {
      const other = keyed({ channel: 'whatsapp', template, ...changes });
      expect(await refusal([dm(), other]), JSON.stringify(changes)).toMatchObject([
        { index: 1, field: 'idempotency_key' },
      ]);
    }
  });

  it('used for two different messages in one call is refused for both', async () => {
    expect(await refusal([keyed(), keyed({ body: 'goodbye' })])).toMatchObject([
      { index: 0, field: 'idempotency_key' },
      { index: 1, field: 'idempotency_key' },
    ]);
  });

  it('makes one row of each message in two concurrent identical calls', async () => {
    const input = Array.from({ length: 50 }, (_, n) => keyed({ idempotency_key: `order-${n}` }));
    const [one, two] = await Promise.all([enqueue(input), enqueue(input)]);
    expect(await count()).toBe(50);
    for (const [n, { id, created }] of one.rows.entries())
      expect(two.rows[n]).toMatchObject({ id, created: !created });
  });

  it('is optional: the same message without one is stored each time', async () => {
    await enqueue([dm(), dm()]);
    await enqueue(dm());
    expect(await count()).toBe(3);
  });
});
