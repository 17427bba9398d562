import fc from 'fast-check';
import { expect, it } from 'vitest';
import { endpoints as dmsApi } from '../../../lib/api/dms.ts';
import { apiRequest, withKey } from '../../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../../support/fixtures.ts';
import { assertProperty } from '../../support/property.ts';

const { 'POST /dms': POST } = dmsApi;

const database = servedDatabase();
const sql = perTestExchanges(database);

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('\0', '\ud83d', '\udc4b', '👋', 'x'.repeat(9_000), '__proto__', "'; drop table dms --", ''),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 })
    .map((units) => String.fromCharCode(...units)),
);
const years = { min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z') };
const twoDigits = (max: number) =>
  fc.integer({ min: 0, max }).map((number) => String(number).padStart(2, '0'));
const anyInstant = fc.oneof(
  fc.date({ ...years, noInvalidDate: true }).map((date) => date.toISOString()),
  fc
    .tuple(fc.constantFrom('+', '-'), twoDigits(24), twoDigits(60))
    .map(([sign, hours, minutes]) => `2026-07-01T09:30:00${sign}${hours}:${minutes}`),
  fc.constantFrom('infinity', '-infinity', 'now', 'epoch', '2026-07-01', '+010000-01-01T00:00:00Z'),
);
const odd = fc.oneof(fc.jsonValue(), anyText);
const mostly = (usual: fc.Arbitrary<unknown>, unusual: fc.Arbitrary<unknown> = odd) =>
  fc.oneof({ weight: 12, arbitrary: usual }, { weight: 1, arbitrary: unusual });

/** Mostly valid messages, so that many reach the database. */
const nearlyDm = (account: string) =>
  fc.record(
    {
      account_id: mostly(fc.constantFrom(account, account.toUpperCase()), fc.oneof(fc.uuid(), odd)),
      channel: mostly(fc.constantFrom('linkedin', 'whatsapp')),
      recipient: mostly(fc.constantFrom('bob', 'carol')),
      body: mostly(fc.oneof(fc.constantFrom('hello', 'goodbye'), anyText)),
      chat_id: mostly(anyText),
      send_at: mostly(anyInstant),
      expires_at: mostly(anyInstant),
      priority: mostly(fc.integer({ min: 0, max: 3 }), fc.oneof(fc.double(), odd)),
      idempotency_key: mostly(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')),
      subject: fc.constant(undefined),
    },
    { requiredKeys: ['account_id', 'channel', 'recipient', 'body'] },
  );

it('POST /api/dms answers any body in JSON without a 5xx, and makes as many rows as the response says', async () => {
  const account = await sql.addAccount();
  const dm = nearlyDm(account);
  const bodies = fc.oneof(
    { weight: 4, arbitrary: dm.map((value) => JSON.stringify(value)) },
    { weight: 4, arbitrary: fc.array(dm, { maxLength: 4 }).map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }).map((bytes) => new Uint8Array(bytes)) },
  );
  const count = async () => (await database.sql('select id from punctual.dm_queue')).length;
  const seen = new Set<number>();
  await assertProperty(
    fc.asyncProperty(bodies, async (body) => {
      const before = await count();
      const response = await POST(apiRequest('POST', '/api/dms', withKey, body));
      const { rows = [], error }: { rows?: { created: boolean }[]; error?: object } = await response.json();
      seen.add(response.status);
      expect([200, 201, 400, 422], JSON.stringify(error)).toContain(response.status);
      expect(response.headers.get('content-type')).toContain('application/json');
      expect(error === undefined).toBe(rows.length > 0);
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
