import { describe, expect, it } from 'vitest';
import { readUnipileWebhook } from '../../../lib/providers/unipile/unipile-webhook.ts';

const ada = { attendee_id: 'u1', attendee_name: 'Ada', attendee_provider_id: 'ACoAda' };
const bob = { attendee_id: 'u2', attendee_name: 'Bob', attendee_provider_id: 'ACoBob' };
const message = (more: object = {}) => ({
  event: 'message_received',
  account_id: 'acc1',
  account_type: 'LINKEDIN',
  account_info: { type: 'LINKEDIN', feature: 'classic', user_id: 'ACoAda' },
  chat_id: 'chat1',
  timestamp: '2026-11-22T10:00:00.123Z',
  message_id: 'm1',
  message: 'Hello\nBob',
  sender: ada,
  attendees: [bob],
  ...more,
});

describe('a webhook of Unipile', () => {
  it('reports a message that the account sent', () => {
    expect(readUnipileWebhook(message())).toEqual({
      ignored: 0,
      receipts: [
        {
          kind: 'message',
          status: 'sent',
          message_id: 'm1',
          provider_account_id: 'acc1',
          chat_id: 'chat1',
          recipient: 'ACoBob',
          body: 'Hello\nBob',
          said_at: '2026-11-22T10:00:00.123Z',
        },
      ],
    });
  });

  it('reports a message that the other person sent', () => {
    const { receipts } = readUnipileWebhook(message({ sender: bob, attendees: [bob] }));
    expect(receipts).toMatchObject([{ kind: 'message', status: 'received', recipient: 'ACoBob' }]);
  });

  it.each([
    ['of a message whose attendees are both people', { attendees: [ada, bob] }, 'sent', 'ACoBob'],
    [
      'of our message to a group, which has no recipient',
      { attendees: [bob, { attendee_provider_id: 'ACoCarl' }] },
      'sent',
      undefined,
    ],
    [
      'of a message in a group, which has no recipient',
      { sender: bob, attendees: [ada, bob, { attendee_provider_id: 'C' }] },
      'received',
      undefined,
    ],
    ['of a message in a group by `is_group`', { sender: bob, is_group: true }, 'received', undefined],
    ['of our message to a group by `is_group`', { is_group: 1 }, 'sent', undefined],
    [
      'by `is_group` before the number of attendees',
      { sender: bob, attendees: [bob, { attendee_provider_id: 'Bob’s other id' }], is_group: false },
      'received',
      'ACoBob',
    ],
    [
      'of an organisation’s message by its mailbox',
      { sender: { attendee_provider_id: 'box' }, account_info: { user_id: 'ACoAda', mailbox_id: 'box' } },
      'sent',
      'ACoBob',
    ],
    ['by `is_sender`', { is_sender: true, account_info: undefined }, 'sent', 'ACoBob'],
    ['by `is_sender` before the sender’s id', { is_sender: 0 }, 'received', 'ACoAda'],
  ])('reads the direction and the recipient %s', (_, more, status, recipient) => {
    expect(readUnipileWebhook(message(more)).receipts).toMatchObject([{ status, recipient }]);
  });

  it.each([
    ['another event', message({ event: 'message_read' })],
    ['an unknown event', { event: 'message_teleported' }],
    ['an event in the chat that is not a message', message({ is_event: 1 })],
    ['a message without an id', message({ message_id: null })],
    ['a message with an id too long for an index', message({ message_id: 'm'.repeat(300) })],
    ['a message without an account', message({ account_id: '' })],
    ['a message without the account’s user id', message({ account_info: undefined })],
    ['a message without a sender', message({ sender: null })],
    ['an array', [message()]],
    ['null', null],
    ['a string', 'message_received'],
  ])('ignores %s', (_, body) => {
    expect(readUnipileWebhook(body)).toEqual({ receipts: [], ignored: 1 });
  });

  it('omits optional fields that are not valid', () => {
    const bare = message({ chat_id: 7, message: null, timestamp: 'soon', attendees: 'none', is_group: 'x' });
    expect(readUnipileWebhook(bare).receipts).toEqual([
      { kind: 'message', status: 'sent', message_id: 'm1', provider_account_id: 'acc1' },
    ]);
  });
});

const account = (message: string) => ({
  AccountStatus: { account_id: 'acc1', account_type: 'LINKEDIN', message },
});
const event = (type: string, payload: unknown = {}) => ({
  id: 'evt_1',
  created_at: '2026-11-22T10:00:05.000Z',
  account_id: 'acc_1',
  type,
  payload,
});

describe('an account’s status', () => {
  it.each(['OK', 'RECONNECTED'])(
    '%s in v1 connects the account, and names the refusals that it ends',
    (status) => {
      expect(readUnipileWebhook(account(status))).toMatchObject({
        receipts: [],
        connections: [{ provider_account_id: 'acc1', connected: true, said_at: undefined }],
        ignored: 0,
      });
      const [notice] = readUnipileWebhook(account(status)).connections ?? [];
      expect(notice?.ends).toContain('errors/disconnected_account');
      expect(notice?.ends).not.toContain('errors/account_restricted');
    },
  );

  it.each(['CREDENTIALS', 'ERROR', 'STOPPED', 'DELETED'])(
    '%s in v1 disconnects the account, with the reason',
    (status) => {
      expect(readUnipileWebhook(account(status)).connections).toMatchObject([
        { provider_account_id: 'acc1', connected: false, said: expect.stringContaining(`(${status})`) },
      ]);
    },
  );

  it.each(['CONNECTING', 'CREATION_SUCCESS', 'SYNC_SUCCESS', 'TELEPORTED', ''])(
    '%j in v1 is ignored',
    (status) => {
      expect(readUnipileWebhook(account(status))).toEqual({ receipts: [], ignored: 1 });
    },
  );

  it('running in v2 connects the account, with its time', () => {
    const timestamp = '2026-11-22T10:00:00.000Z';
    expect(readUnipileWebhook(event('account.status.running', { timestamp })).connections).toMatchObject([
      { provider_account_id: 'acc_1', connected: true, said_at: timestamp },
    ]);
  });

  it.each([
    ['account.status.disconnected', { product: 'recruiter' }, '(disconnected): recruiter'],
    ['account.status.errored', { reason: 'proxy' }, '(errored): proxy'],
    ['account.status.paused', null, '(paused)'],
    ['account.remove', {}, '(removed)'],
  ])('%s in v2 disconnects the account, with the reason', (type, payload, reason) => {
    expect(readUnipileWebhook(event(type, payload)).connections).toMatchObject([
      { connected: false, said: expect.stringContaining(reason), said_at: '2026-11-22T10:00:05.000Z' },
    ]);
  });

  it.each(['account.add', 'account.reconnect', 'account.status.degraded', 'email.new'])(
    '%s in v2 is ignored',
    (type) => {
      expect(readUnipileWebhook(event(type))).toEqual({ receipts: [], ignored: 1 });
    },
  );
});

describe('a new message in v2', () => {
  const payload = {
    object: 'Message',
    id: 'm1',
    chat_id: 'chat1',
    text: 'Hello',
    timestamp: '2026-11-22T10:00:00.123Z',
    is_sender: false,
    sender_id: 'ACoBob',
  };

  it('names the other person if they wrote it, and nobody if we sent it', () => {
    const receipt = {
      kind: 'message',
      message_id: 'm1',
      provider_account_id: 'acc_1',
      chat_id: 'chat1',
      body: 'Hello',
      said_at: '2026-11-22T10:00:00.123Z',
    };
    expect(readUnipileWebhook(event('message.new', payload))).toEqual({
      receipts: [{ ...receipt, status: 'received', recipient: 'ACoBob' }],
      ignored: 0,
    });
    expect(readUnipileWebhook(event('message.new', { ...payload, is_sender: true })).receipts).toEqual([
      { ...receipt, status: 'sent', recipient: undefined },
    ]);
  });

  it.each([{ is_event: true }, { is_sender: null }, { id: '' }])('with %j is ignored', (odd) => {
    expect(readUnipileWebhook(event('message.new', { ...payload, ...odd }))).toEqual({
      receipts: [],
      ignored: 1,
    });
  });
});
