import { describe, expect, it } from 'vitest';
import { findText } from '../../support/find-text.ts';
import { postUnipile, signedByUnipile, UNIPILE_SECRET, unipileBody, webhookBench } from './webhook-bench.ts';

const { database, stored, addAccount, writeTo } = webhookBench();

const v2Body = JSON.stringify({
  id: 'evt_2',
  created_at: '2026-11-22T10:00:01.000Z',
  account_id: 'acc_1',
  type: 'message.new',
  payload: {
    object: 'Message',
    id: 'm2',
    chat_id: 'chat1',
    text: 'Hello',
    timestamp: '2026-11-22T10:00:00.123Z',
    is_sender: false,
    is_event: false,
    sender_id: 'ACoBob',
  },
});

describe('a Unipile webhook', () => {
  it('is stored once, however often it comes', async () => {
    expect(await postUnipile(unipileBody())).toEqual({ status: 200, received: 1, new: 1, ignored: 0 });
    expect(await postUnipile(unipileBody())).toMatchObject({ status: 200, new: 0 });
    const receipt = { provider: 'unipile', kind: 'message', status: 'sent', message_id: 'm1', body: null };
    const chat = { provider_account_id: 'acc1', chat_id: 'chat1', recipient: 'ACoBob' };
    expect(await stored()).toMatchObject([{ ...receipt, ...chat }]);
  });

  it('leaves no text of a third person in the database, only of people whom we write to', async () => {
    const sender = { attendee_provider_id: 'ACoBob' };
    const inChat = (message: string, more: object = {}) =>
      postUnipile(unipileBody({ message, message_id: `id-${message.length}`, sender, ...more }));
    await writeTo(await addAccount(), 'chat1');
    await inChat('Bandicoot-ours');
    await inChat('Bandicoot-private', { chat_id: 'chat2' });
    await inChat('Bandicoot-elsewhere', { account_id: 'acc2' });
    await database.sql("update punctual.dm_queue set recipient = 'ACoBob'");
    await inChat('Bandicoot-of-a-group', { chat_id: 'chat3', is_group: true });
    await inChat('Bandicoot-in-our-group', { is_group: true });
    expect(await findText(database, 'chat2')).toEqual(['receipts.chat_id']);
    for (const text of ['Bandicoot-ours', 'Bandicoot-in-our-group'])
      expect(await findText(database, text), text).toEqual(['receipts.body']);
    for (const text of ['Bandicoot-private', 'Bandicoot-elsewhere', 'Bandicoot-of-a-group'])
      expect(await findText(database, text), text).toEqual([]);
  });

  it('of v2 is stored if its signature is right', async () => {
    expect(await postUnipile(v2Body, signedByUnipile(v2Body))).toMatchObject({ status: 200, new: 1 });
    expect(await stored()).toMatchObject([{ kind: 'message', status: 'received', message_id: 'm2' }]);
  });

  const signature = signedByUnipile(v2Body)['unipile-signature'] ?? '';
  it.each<[label: string, headers: Record<string, string>]>([
    ['no secret', {}],
    ['an empty secret', { 'unipile-auth': '' }],
    ['another secret', { 'unipile-auth': 'guess' }],
    ['the secret and one more character', { 'unipile-auth': `${UNIPILE_SECRET}x` }],
    ['the secret as a bearer token', { authorization: `Bearer ${UNIPILE_SECRET}` }],
    ['a signature with another secret', signedByUnipile(v2Body, 'guess')],
    ['a signature over another body', signedByUnipile('{}')],
    ['a signature without a time', { 'unipile-signature': 'v0=00' }],
    ['an empty signature', { 'unipile-signature': '' }],
    ['a signature over another time', { 'unipile-signature': signature.replace('t=1', 't=2') }],
    [
      'a wrong signature and v1’s secret',
      { 'unipile-signature': 't=1,v0=00', 'unipile-auth': UNIPILE_SECRET },
    ],
  ])('with %s is refused', async (_label, headers) => {
    expect(await postUnipile(v2Body, headers)).toMatchObject({
      status: 401,
      error: { kind: 'unauthorised' },
    });
    expect(await stored()).toEqual([]);
  });
});
