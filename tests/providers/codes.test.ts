import { describe, expect, it } from 'vitest';
import { unipile } from '../../lib/providers/unipile/unipile.ts';
import { unipileCodes } from '../../lib/providers/unipile/unipile-codes.ts';
import { unipileV2Codes } from '../../lib/providers/unipile/unipile-v2-codes.ts';
import { whatsappCloud } from '../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { whatsappCodes } from '../../lib/providers/whatsapp/whatsapp-codes.ts';
import { providerServer } from './provider-server.ts';

const { responding } = providerServer();

/** Sends a message through an API that responds like this. Returns the error. */
async function failureOf(api: 'v1' | 'v2' | 'whatsapp', ...response: Parameters<typeof responding>) {
  const { url } = await responding(...response);
  const cloud = whatsappCloud({ accessToken: 'a token', apiVersion: 'v23.0', baseUrl: url });
  const sending =
    api === 'whatsapp'
      ? cloud.sendText({ phoneNumberId: '1', to: '+49151', reference: 'r', text: 'x' })
      : unipile({ version: api, dsn: url, apiKey: 'a key' }).sendMessage({
          accountId: 'acc_a',
          chatId: 'c',
          text: 'x',
        });
  return sending.catch((error) => error);
}

/** Returns the error of a response with this code, in the API that the code is of. */
const failureBy = (status: number, code: string | number, headers?: Record<string, string>) =>
  typeof code === 'number'
    ? failureOf('whatsapp', status, { error: { code, message: 'No' } }, headers)
    : failureOf(
        code.startsWith('errors/') ? 'v1' : 'v2',
        status,
        { type: code, title: 'No', detail: 'not now' },
        headers,
      );

it.each([
  ['Unipile v1', [403, 422], unipileCodes],
  ['Unipile v2', [409, 422], unipileV2Codes],
  ['WhatsApp', [403, 500], whatsappCodes],
])('each error code of %s has its meaning whatever the status: %j', async (_api, statuses, codes) => {
  for (const [code, { kind, scope = 'account' }] of codes)
    for (const status of statuses)
      expect(await failureBy(status, code)).toMatchObject({ kind, scope, code, status });
});

it.each<[status: number, codes: (string | number)[], kind: string, scope: string, wait: number | null]>([
  [422, ['errors/account_restricted', 'errors/disconnected_account'], 'account_refused', 'account', null],
  [422, ['errors/insufficient_permissions'], 'account_refused', 'account', null],
  [422, ['errors/missing_credentials'], 'account_refused', 'provider', null],
  [422, ['errors/resource_not_found'], 'rejected', 'account', null],
  [422, ['errors/limit_exceeded'], 'rate_limited', 'account', 3_600],
  [422, ['errors/cannot_resend_yet'], 'rate_limited', 'pair', 3_600],
  [422, ['errors/cannot_resend_within_24hrs'], 'rate_limited', 'pair', 86_400],
  [422, ['provider/invalid_authorization'], 'account_refused', 'account', null],
  [422, ['api/missing_authorization'], 'account_refused', 'provider', null],
  [422, ['provider/unprocessable_entity'], 'rejected', 'account', null],
  [422, ['api/conflict'], 'uncertain', 'account', null],
  [400, [131031, 131042, 368, 200, 299], 'account_refused', 'account', null],
  [403, [10], 'account_refused', 'account', null],
  [400, [190, 2635], 'account_refused', 'provider', null],
  [401, [0], 'account_refused', 'provider', null],
  [400, [131026, 131047, 131051, 132015], 'rejected', 'account', null],
  [404, [132001], 'rejected', 'account', null],
  [500, [132000], 'rejected', 'account', null],
  [400, [4, 80007], 'rate_limited', 'account', null],
  [429, [130429], 'rate_limited', 'account', null],
  [400, [131056], 'rate_limited', 'pair', null],
  [400, [131048], 'rate_limited', 'account', 86_400],
  // The status decides for other codes, and for Unipile's from 500 on: the call may have had its effect.
  [401, ['errors/something_new', 99_999], 'account_refused', 'account', null],
  [403, ['errors/something_new'], 'account_refused', 'account', null],
  [400, [99_999], 'rejected', 'account', null],
  [404, ['errors/something_new'], 'rejected', 'account', null],
  [422, ['errors/something_new'], 'rejected', 'account', null],
  [500, ['errors/invalid_account', 'provider/unprocessable_entity', 131000], 'uncertain', 'account', null],
  [503, [131016], 'uncertain', 'account', null],
])(
  '%d with %j means %s for the %s, with a wait of %j s',
  async (status, codes, kind, scope, retryAfterSeconds) => {
    for (const code of codes) {
      const expected = { kind, scope, retryAfterSeconds, code, status };
      expect(await failureBy(status, code)).toMatchObject(expected);
    }
  },
);

it('an error of Unipile gives its title and detail', async () => {
  const message = 'unipile answered 422 (errors/limit_exceeded): No: not now';
  expect(await failureBy(422, 'errors/limit_exceeded')).toMatchObject({ message });
});

it.each<[api: Parameters<typeof failureOf>[0], status: number, body: unknown]>([
  ['v1', 404, {}],
  ['v1', 404, { type: 'about:blank' }],
  ['v1', 404, { statusCode: 404, message: 'Cannot POST /api/v1' }],
  ['v1', 404, []],
  // A type of the other version.
  ['v1', 404, { type: 'provider/resource_not_found' }],
  ['v2', 404, { type: 'errors/resource_not_found' }],
  ['whatsapp', 400, {}],
  ['whatsapp', 400, { error: 'no' }],
  ['whatsapp', 400, { error: { message: 'no code' } }],
])(
  'an error in %s without a code of its own means that another server responded: %d %j',
  async (api, status, body) => {
    const foreign = { kind: 'account_refused', scope: 'provider', code: 'foreign_answer' };
    expect(await failureOf(api, status, body)).toMatchObject(foreign);
  },
);

describe('an error type of Unipile v2', () => {
  it.each(['api/resource_not_found', 'api/invalid_parameters', 'provider/resource_not_found'])(
    '%s for an account id of v1 refuses the account, and says what to correct',
    async (code) => {
      const { url } = await responding(404, { type: code, title: 'Not found' });
      const client = unipile({ version: 'v2', dsn: url, apiKey: 'a key' });
      const accountId = 'dfXlh46vQYCsMbVarumWlg';
      const calls = await Promise.allSettled([
        client.sendMessage({ accountId, chatId: 'c', text: 'x' }),
        client.startChat({ accountId, recipient: 'p', text: 'x' }),
        client.listChats({ accountId, attendeeId: 'p' }),
      ]);
      const message = expect.stringContaining('provider_account_id');
      const reason = { kind: 'account_refused', scope: 'account', code, message };
      for (const call of calls) expect(call).toMatchObject({ reason });
    },
  );

  it.each([
    ['api/too_many_requests', 17],
    ['provider/too_many_requests', null],
  ])('%s with a `retry-after` of 17 s gives a wait of %j', async (type, retryAfterSeconds) => {
    const limit = { kind: 'rate_limited', scope: 'account', retryAfterSeconds };
    expect(await failureBy(429, type, { 'retry-after': '17' })).toMatchObject(limit);
  });
});

it('code 100 of WhatsApp refuses the message, and with subcode 33 the account, whose number does not exist', async () => {
  expect(await failureBy(400, 100)).toMatchObject({ kind: 'rejected', code: 100 });
  const gone = { code: 100, error_subcode: 33, message: 'Unsupported post request' };
  const refused = { kind: 'account_refused', scope: 'account', code: 100 };
  expect(await failureOf('whatsapp', 400, { error: gone })).toMatchObject(refused);
});
