import { beforeEach, describe, expect, it } from 'vitest';
import { POST } from '../../app/api/refusals/end/route.ts';
import { apiRequest, withKey } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

const database = servedDatabase({}, { password: '' });

beforeEach(async () => {
  await database.sql('delete from punctual.accounts');
});

async function end(body: unknown, headers = withKey) {
  const response = await POST(apiRequest('POST', '/api/refusals/end', headers, JSON.stringify(body)));
  return { status: response.status, ...(await response.json()) };
}

/** Adds an account that its provider has refused twice. */
async function addRefused(): Promise<string> {
  const [{ id }] = await database.sql(
    `insert into punctual.accounts (provider, provider_account_id, name, paused_until, paused_reason)
     values ('unipile', 'ann-1', 'Ann', now() + interval '10 minutes', 'restricted') returning id`,
  );
  await database.sql(
    `update punctual.accounts set refused = '{"what": "account", "count": 2, "said": "restricted", "queue": "dm_queue"}' where id = $1`,
    [id],
  );
  return id;
}

const paused = () => database.sql('select paused_until, paused_reason from punctual.accounts');

describe('POST /api/refusals/end', () => {
  it('ends the pause of a refused account, and only once', async () => {
    const account = await addRefused();
    expect(await end({ provider: 'unipile', account })).toEqual({
      status: 200,
      provider: 'unipile',
      account,
    });
    expect(await paused()).toEqual([{ paused_until: null, paused_reason: null }]);
    expect(await end({ provider: 'unipile', account })).toMatchObject({
      status: 404,
      error: {
        message: `unipile does not refuse the account ${account}: send another one, or none if unipile refuses everything. GET /api/stats lists refused accounts and providers under "refused" of each queue.`,
      },
    });
  });

  it('ends the pause of a provider', async () => {
    await database.sql(
      `insert into punctual.providers (name, failures, refusals, paused_until) values ('unipile', 1, 1, now() + interval '5 minutes')`,
    );
    expect(await end({ provider: 'unipile' })).toEqual({ status: 200, provider: 'unipile', account: null });
    expect(await end({ provider: 'unipile' })).toMatchObject({
      status: 404,
      error: {
        message: expect.stringMatching(/^unipile does not refuse everything: send the "account" too/),
      },
    });
    await database.sql('delete from punctual.providers');
  });

  it('says which field to send instead of an invalid one', async () => {
    const field = async (body: object) => (await end(body)).error.errors;
    expect(await field({})).toEqual([
      { field: 'provider', message: 'name the provider, for example "unipile" or "whatsapp_cloud"' },
    ]);
    expect(await field({ provider: 'unipile', account: 'li-ada' })).toEqual([
      {
        field: 'account',
        message: expect.stringMatching(/^send the account’s "id" from GET \/api\/accounts/),
      },
    ]);
  });

  it('refuses any other account, provider or field, and a call without the key', async () => {
    const account = await addRefused();
    expect(await end({ provider: 'whatsapp_cloud', account })).toMatchObject({ status: 404 });
    expect(await end({ provider: 'unipile', account: crypto.randomUUID() })).toMatchObject({ status: 404 });
    expect(await end({ provider: 'unipile', account: 'Ann' })).toMatchObject({ status: 422 });
    expect(await end({ provider: '\0', account })).toMatchObject({ status: 422 });
    expect(await end({ account })).toMatchObject({ status: 422 });
    expect(await end({ provider: 'unipile', account, queue: 'posts' })).toMatchObject({ status: 422 });
    expect(await end({ provider: 'unipile', account }, {})).toMatchObject({ status: 401 });
    expect(await paused()).toMatchObject([{ paused_reason: 'restricted' }]);
  });
});
