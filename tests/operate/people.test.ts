import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as peopleApi } from '../../lib/api/sequences.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { findText } from '../support/find-text.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';

const { 'POST /people/forget': POST } = peopleApi;

const database = servedDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount();
});

const forget = (body: unknown) =>
  answered(POST(apiRequest('POST', '/api/people/forget', undefined, JSON.stringify(body))));

describe('POST /api/people/forget', () => {
  it('deletes the data of a person and reports how much, and finds nothing the second time', async () => {
    const id = await sql.addDm(account, { recipient: 'ACoEve', chat_id: null, body: 'Potoroo' });
    expect(await forget({ recipient: 'ACoEve', account_id: account })).toEqual({
      status: 200,
      body: { deleted: { enrolments: 0, events: 0, messages: 1, receipts: 0, whatsapp_users: 0 } },
    });
    expect(await findText(database, 'Potoroo')).toEqual([]);
    expect((await sql.history(id)).at(-1)).toEqual(['decided', 'the API had the person forgotten']);
    expect(await forget({ recipient: 'ACoEve' })).toMatchObject({ body: { deleted: { messages: 0 } } });
  });

  it('answers 409 while a message may have been sent, and names it', async () => {
    const { id } = await sql.addUnknown(account, { chat_id: 'chat-eve' });
    const response = await forget({ chat_id: 'chat-eve' });
    expect(response).toMatchObject({ status: 409, body: { error: { kind: 'conflict' } } });
    expect(response.body.error.message).toContain(
      `which may have been sent: ${id} (try again once they are resolved`,
    );
  });

  it.each([
    [{}, 'recipient'],
    [{ account_id: '1', recipient: 'x' }, 'account_id'],
    [{ recipient: '' }, 'recipient'],
    [{ recipient: 'x', number: '1' }, 'number'],
  ])('refuses %j', async (body, field) => {
    const response = await forget(body);
    expect([response.status, response.body.error.errors[0].field]).toEqual([422, field]);
  });

  it('answers 404 for an account that does not exist', async () => {
    expect((await forget({ recipient: 'x', account_id: crypto.randomUUID() })).status).toBe(404);
  });
});
