import { afterEach, describe, expect, it } from 'vitest';
import type { ErrorReading } from '../../lib/net/http.ts';
import { unipile } from '../../lib/providers/unipile/unipile.ts';
import { unipileCodes } from '../../lib/providers/unipile/unipile-codes.ts';
import { unipileV2Codes } from '../../lib/providers/unipile/unipile-v2-codes.ts';
import { whatsappCloud } from '../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { whatsappCodes } from '../../lib/providers/whatsapp/whatsapp-codes.ts';
import { httpAnswer, loopback } from '../net/loopback.ts';

const net = loopback();
afterEach(() => net.closeAll());

const responding = (status: number, body: object) =>
  net.answering((socket) => socket.end(httpAnswer(status, JSON.stringify(body))));

async function failureOfUnipile(status: number, body: object, version: 'v1' | 'v2' = 'v1') {
  const client = unipile({ version, dsn: await responding(status, body), apiKey: 'a key' });
  return client.sendMessage({ accountId: 'acc_a', chatId: 'c', text: 'x' }).catch((error: unknown) => error);
}

async function failureOfWhatsapp(status: number, body: object) {
  const baseUrl = await responding(status, body);
  const client = whatsappCloud({ accessToken: 'a token', apiVersion: 'v23.0', baseUrl });
  const message = { phoneNumberId: '1', to: '+49151', reference: 'r', text: 'x' };
  return client.sendText(message).catch((error: unknown) => error);
}

const named = <Code>(codes: ReadonlyMap<Code, ErrorReading>) =>
  [...codes].map(([code, { kind, scope }]) => [code, kind, scope ?? 'account'] as const);

describe('a Unipile error type', () => {
  it.each(named(unipileCodes))('%s means %s for the %s', async (type, kind, scope) => {
    for (const status of [400, 403, 422])
      expect(await failureOfUnipile(status, { status, type })).toMatchObject({ kind, scope, code: type });
    // A 500 may have had its effect all the same.
    expect(await failureOfUnipile(500, { status: 500, type })).toMatchObject({ kind: 'uncertain' });
  });

  it.each([
    ['errors/account_restricted', 'account_refused', 'account'],
    ['errors/disconnected_account', 'account_refused', 'account'],
    ['errors/insufficient_permissions', 'account_refused', 'account'],
    ['errors/missing_credentials', 'account_refused', 'provider'],
    ['errors/resource_not_found', 'rejected', undefined],
    ['errors/limit_exceeded', 'rate_limited', 'account'],
  ])('%s is listed as %s', (type, kind, scope) => {
    expect(unipileCodes.get(type)).toMatchObject({ kind, ...(scope && { scope }) });
  });

  it('that is not listed is judged by its status', async () => {
    const type = 'errors/something_new';
    expect(await failureOfUnipile(403, { type })).toMatchObject({
      kind: 'account_refused',
      scope: 'account',
    });
    expect(await failureOfUnipile(401, { type })).toMatchObject({
      kind: 'account_refused',
      scope: 'account',
    });
    expect(await failureOfUnipile(404, { type })).toMatchObject({ kind: 'rejected' });
    expect(await failureOfUnipile(422, { type })).toMatchObject({ kind: 'rejected' });
  });

  it.each([{}, { type: 'about:blank' }, { statusCode: 404, message: 'Cannot POST /api/v1' }, []])(
    'that is missing (%j) means that something other than the API responded',
    async (body) => {
      const refused = { kind: 'account_refused', scope: 'provider', code: 'foreign_answer' };
      expect(await failureOfUnipile(404, body)).toMatchObject(refused);
    },
  );
});

describe('a Unipile v2 error type', () => {
  it.each(named(unipileV2Codes))('%s means %s for the %s', async (type, kind, scope) => {
    for (const status of [400, 409, 422])
      expect(await failureOfUnipile(status, { status, type }, 'v2')).toMatchObject({
        kind,
        scope,
        code: type,
      });
    expect(await failureOfUnipile(500, { status: 500, type }, 'v2')).toMatchObject({ kind: 'uncertain' });
  });

  it.each([
    ['provider/invalid_authorization', 'account_refused', 'account'],
    ['api/missing_authorization', 'account_refused', 'provider'],
    ['provider/unprocessable_entity', 'rejected', undefined],
    ['api/conflict', 'uncertain', undefined],
  ])('%s is listed as %s', (type, kind, scope) => {
    expect(unipileV2Codes.get(type)).toMatchObject({ kind, ...(scope && { scope }) });
  });

  it.each(['api/resource_not_found', 'api/invalid_parameters', 'provider/resource_not_found'])(
    '%s for an account id of v1 refuses the account, and says what to correct',
    async (type) => {
      const dsn = await responding(404, { type, title: 'Not found' });
      const client = unipile({ version: 'v2', dsn, apiKey: 'a key' });
      const accountId = 'dfXlh46vQYCsMbVarumWlg';
      for (const call of [
        () => client.sendMessage({ accountId, chatId: 'c', text: 'x' }),
        () => client.startChat({ accountId, recipient: 'p', text: 'x' }),
        () => client.listChats({ accountId, attendeeId: 'p' }),
      ])
        await expect(call()).rejects.toMatchObject({
          kind: 'account_refused',
          scope: 'account',
          code: type,
          message: expect.stringContaining('provider_account_id'),
        });
    },
  );

  it.each([
    ['api/too_many_requests', 17],
    ['provider/too_many_requests', null],
  ])('%s with a `retry-after` of 17 s gives a wait of %j', async (type, retryAfterSeconds) => {
    const headers = { 'retry-after': '17' };
    const dsn = await net.answering((socket) =>
      socket.end(httpAnswer(429, JSON.stringify({ type }), headers)),
    );
    const client = unipile({ version: 'v2', dsn, apiKey: 'a key' });
    const sending = client.sendMessage({ accountId: 'acc_a', chatId: 'c', text: 'x' });
    await expect(sending).rejects.toMatchObject({
      kind: 'rate_limited',
      scope: 'account',
      retryAfterSeconds,
    });
  });

  it.each([
    ['v1', 'provider/resource_not_found'],
    ['v2', 'errors/resource_not_found'],
  ] as const)('is read in its own version only: %s does not know %s', async (version, type) => {
    const refused = { kind: 'account_refused', scope: 'provider', code: 'foreign_answer' };
    expect(await failureOfUnipile(404, { type }, version)).toMatchObject(refused);
  });
});

describe('a WhatsApp error code', () => {
  it.each(named(whatsappCodes))('%d means %s for the %s, whatever the status', async (code, kind, scope) => {
    for (const status of [400, 403, 500])
      expect(await failureOfWhatsapp(status, { error: { code } })).toMatchObject({ kind, scope, code });
  });

  it.each([
    [131031, 'account_refused', 'account'],
    [368, 'account_refused', 'account'],
    [131042, 'account_refused', 'account'],
    [200, 'account_refused', 'account'],
    [299, 'account_refused', 'account'],
    [190, 'account_refused', 'provider'],
    [2635, 'account_refused', 'provider'],
    [131026, 'rejected', undefined],
    [131051, 'rejected', undefined],
    [130429, 'rate_limited', undefined],
  ])('%d is listed as %s', (code, kind, scope) => {
    expect(whatsappCodes.get(code)).toMatchObject({ kind, ...(scope && { scope }) });
  });

  it('100 refuses the message, and with subcode 33 the account, whose number does not exist', async () => {
    const wrong = { error: { code: 100, message: '(#100) Invalid parameter' } };
    expect(await failureOfWhatsapp(400, wrong)).toMatchObject({ kind: 'rejected', code: 100 });
    const gone = { error: { code: 100, error_subcode: 33, message: 'Unsupported post request' } };
    expect(await failureOfWhatsapp(400, gone)).toMatchObject({
      kind: 'account_refused',
      scope: 'account',
      code: 100,
    });
  });

  it.each([{}, { error: 'no' }, { error: { message: 'no code' } }])(
    'that is missing (%j) means that something other than the API responded',
    async (body) => {
      expect(await failureOfWhatsapp(400, body)).toMatchObject({
        kind: 'account_refused',
        scope: 'provider',
      });
    },
  );
});
