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
  it('tells of a message that the account itself sent', () => {
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

  it('tells of a message that the other side sent', () => {
    const { receipts } = readUnipileWebhook(message({ sender: bob, attendees: [bob] }));
    expect(receipts).toMatchObject([{ kind: 'message', status: 'received', recipient: 'ACoBob' }]);
  });

  it.each([
    ['as the attendees name both sides', { attendees: [ada, bob] }, 'sent', 'ACoBob'],
    [
      'as one of a group, to nobody alone',
      { attendees: [bob, { attendee_provider_id: 'ACoCarl' }] },
      'sent',
      undefined,
    ],
    [
      'as a group’s from nobody alone',
      { sender: bob, attendees: [ada, bob, { attendee_provider_id: 'C' }] },
      'received',
      undefined,
    ],
    ['as a group’s, as it says itself', { sender: bob, is_group: true }, 'received', undefined],
    ['as ours to a group, as it says itself', { is_group: 1 }, 'sent', undefined],
    [
      'as no group’s, as it says itself, over what is counted',
      { sender: bob, attendees: [bob, { attendee_provider_id: 'Bob’s other id' }], is_group: false },
      'received',
      'ACoBob',
    ],
    [
      'as an organisation’s by its mailbox',
      { sender: { attendee_provider_id: 'box' }, account_info: { user_id: 'ACoAda', mailbox_id: 'box' } },
      'sent',
      'ACoBob',
    ],
    ['as it says itself', { is_sender: true, account_info: undefined }, 'sent', 'ACoBob'],
    ['as it says itself, over what is compared', { is_sender: 0 }, 'received', 'ACoAda'],
  ])('is read %s', (_, more, status, recipient) => {
    expect(readUnipileWebhook(message(more)).receipts).toMatchObject([{ status, recipient }]);
  });

  it.each([
    ['another event', message({ event: 'message_read' })],
    ['an event yet unknown', { event: 'message_teleported' }],
    ['what is no message but an event in the chat', message({ is_event: 1 })],
    ['a message without an id', message({ message_id: null })],
    ['a message with an id that no index holds', message({ message_id: 'm'.repeat(300) })],
    ['a message without an account', message({ account_id: '' })],
    ['a message that does not say who the account is', message({ account_info: undefined })],
    ['a message that does not say who sent it', message({ sender: null })],
    ['a list', [message()]],
    ['nothing', null],
    ['a text', 'message_received'],
  ])('ignores %s', (_, body) => {
    expect(readUnipileWebhook(body)).toEqual({ receipts: [], ignored: 1 });
  });

  it('is taken without what is not needed', () => {
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
  it.each(['OK', 'RECONNECTED'])('%s of v1 says that it works, and what that mends', (status) => {
    expect(readUnipileWebhook(account(status))).toMatchObject({
      receipts: [],
      connections: [{ provider_account_id: 'acc1', connected: true, said_at: undefined }],
      ignored: 0,
    });
    const [notice] = readUnipileWebhook(account(status)).connections ?? [];
    expect(notice?.mends).toContain('errors/disconnected_account');
    expect(notice?.mends).not.toContain('errors/account_restricted');
  });

  it.each(['CREDENTIALS', 'ERROR', 'STOPPED', 'DELETED'])(
    '%s of v1 says that it does not, and why',
    (status) => {
      expect(readUnipileWebhook(account(status)).connections).toMatchObject([
        { provider_account_id: 'acc1', connected: false, said: expect.stringContaining(`(${status})`) },
      ]);
    },
  );

  it.each(['CONNECTING', 'CREATION_SUCCESS', 'SYNC_SUCCESS', 'TELEPORTED', ''])(
    '%j of v1 says nothing',
    (status) => {
      expect(readUnipileWebhook(account(status))).toEqual({ receipts: [], ignored: 1 });
    },
  );

  it('running of v2 says that it works, and since when', () => {
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
  ])('%s of v2 says that it does not, and why', (type, payload, said) => {
    expect(readUnipileWebhook(event(type, payload)).connections).toMatchObject([
      { connected: false, said: expect.stringContaining(said), said_at: '2026-11-22T10:00:05.000Z' },
    ]);
  });

  it.each(['account.add', 'account.reconnect', 'account.status.degraded', 'email.new'])(
    '%s of v2 says nothing',
    (type) => {
      expect(readUnipileWebhook(event(type))).toEqual({ receipts: [], ignored: 1 });
    },
  );
});

describe('a new message by v2', () => {
  const payload = {
    object: 'Message',
    id: 'm1',
    chat_id: 'chat1',
    text: 'Hello',
    timestamp: '2026-11-22T10:00:00.123Z',
    is_sender: false,
    sender_id: 'ACoBob',
  };

  it('is from who wrote it, and of our own nobody is the recipient', () => {
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
