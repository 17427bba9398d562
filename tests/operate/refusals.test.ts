import { describe, expect, it } from 'vitest';
import { endpoints as accountsApi } from '../../lib/api/accounts.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

const { 'POST /refusals/end': POST } = accountsApi;

const database = servedDatabase();

const end = (body: unknown) =>
  answered(POST(apiRequest('POST', '/api/refusals/end', undefined, JSON.stringify(body))));

/** Adds an account that its provider has refused twice. */
async function addRefused(): Promise<string> {
  const [{ id }] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name, paused_until, paused_reason, refused)
     values ('unipile', 'ann-1', 'Ann', now() + interval '10 minutes', 'restricted',
             '{"what": "account", "count": 2, "said": "restricted", "queue": "dm_queue"}') returning id`,
  );
  return id;
}

const paused = () => database.sql('select paused_until, paused_reason from punctual.accounts');

describe('POST /api/refusals/end', () => {
  it('ends the pause of a refused account, and only once', async () => {
    const account = await addRefused();
    const body = { provider: 'unipile', account };
    expect(await end(body)).toEqual({ status: 200, body });
    expect(await paused()).toEqual([{ paused_until: null, paused_reason: null }]);
    const message = `unipile does not refuse the account ${account}: send another one, or none if unipile refuses everything. GET /api/stats lists refused accounts and providers under "refused" of each queue.`;
    expect(await end(body)).toMatchObject({ status: 404, body: { error: { message } } });
  });

  it('ends the pause of a provider', async () => {
    await database.sql(
      `insert into punctual.providers (name, failures, refusals, paused_until) values ('unipile', 1, 1, now() + interval '5 minutes')`,
    );
    const body = { provider: 'unipile', account: null };
    expect(await end({ provider: 'unipile' })).toEqual({ status: 200, body });
    const message = expect.stringMatching(/^unipile does not refuse everything: send the "account" too/);
    expect(await end({ provider: 'unipile' })).toMatchObject({ status: 404, body: { error: { message } } });
  });

  it.each([
    ['another provider', { provider: 'whatsapp_cloud' }],
    ['another account', { account: crypto.randomUUID() }],
  ])('answers 404 for %s, and ends no pause', async (_label, changes) => {
    const account = await addRefused();
    expect((await end({ provider: 'unipile', account, ...changes })).status).toBe(404);
    expect(await paused()).toMatchObject([{ paused_reason: 'restricted' }]);
  });

  it.each([
    [{}, 'provider', /^name the provider, for example "unipile" or "whatsapp_cloud"$/],
    [{ provider: '\0' }, 'provider', /./],
    [
      { provider: 'unipile', account: 'li-ada' },
      'account',
      /^send the account’s "id" from GET \/api\/accounts/,
    ],
    [{ provider: 'unipile', queue: 'posts' }, 'queue', /./],
  ])('says which field to correct: %j', async (body, field, message) => {
    const error = { errors: [{ field, message: expect.stringMatching(message) }] };
    expect(await end(body)).toMatchObject({ status: 422, body: { error } });
  });
});
