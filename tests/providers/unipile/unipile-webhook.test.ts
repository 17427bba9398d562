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

/** Returns what one message is read as. */
const receiptOf = (body: unknown) => readUnipileWebhook(body).receipts[0];
const ignored = { receipts: [], ignored: 1 };
const said_at = '2026-11-22T10:00:00.123Z';

describe('a webhook of Unipile', () => {
  it('reports a message that the account sent, without fields that are not valid', () => {
    const receipt = { kind: 'message', status: 'sent', message_id: 'm1', provider_account_id: 'acc1' };
    const rest = { chat_id: 'chat1', recipient: 'ACoBob', body: 'Hello\nBob', said_at };
    expect(readUnipileWebhook(message())).toEqual({ ignored: 0, receipts: [{ ...receipt, ...rest }] });
    const odd = { chat_id: 7, message: null, timestamp: 'soon', attendees: 'none', is_group: 'x' };
    expect(receiptOf(message(odd))).toEqual(receipt);
  });

  const carl = { attendee_provider_id: 'ACoCarl' };
  const otherBob = { attendee_provider_id: 'Bob’s other id' };
  const mailbox = {
    sender: { attendee_provider_id: 'box' },
    account_info: { user_id: 'ACoAda', mailbox_id: 'box' },
  };
  it.each<[label: string, more: object, status: string, recipient: string | undefined]>([
    ['that the other person sent', { sender: bob }, 'received', 'ACoBob'],
    ['whose attendees are both people', { attendees: [ada, bob] }, 'sent', 'ACoBob'],
    ['of ours to a group, without a recipient', { attendees: [bob, carl] }, 'sent', undefined],
    ['in a group, without a recipient', { sender: bob, attendees: [ada, bob, carl] }, 'received', undefined],
    ['in a group by `is_group`', { sender: bob, is_group: true }, 'received', undefined],
    ['of ours to a group by `is_group`', { is_group: 1 }, 'sent', undefined],
    [
      'by `is_group` before the number of attendees',
      { sender: bob, attendees: [bob, otherBob], is_group: false },
      'received',
      'ACoBob',
    ],
    ['of an organisation by its mailbox', mailbox, 'sent', 'ACoBob'],
    ['by `is_sender`', { is_sender: true, account_info: undefined }, 'sent', 'ACoBob'],
    ['by `is_sender` before the sender’s id', { is_sender: 0 }, 'received', 'ACoAda'],
  ])('reads the direction and the recipient of a message %s', (_label, more, status, recipient) => {
    expect(receiptOf(message(more))).toMatchObject({ status, recipient });
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
  ])('ignores %s', (_label, body) => {
    expect(readUnipileWebhook(body)).toEqual(ignored);
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
      const { connections, ...rest } = readUnipileWebhook(account(status));
      expect(rest).toEqual({ receipts: [], ignored: 0 });
      expect(connections).toMatchObject([
        { provider_account_id: 'acc1', connected: true, said_at: undefined },
      ]);
      expect(connections?.[0]?.ends).toContain('errors/disconnected_account');
      expect(connections?.[0]?.ends).not.toContain('errors/account_restricted');
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

  it.each([
    ...['CONNECTING', 'CREATION_SUCCESS', 'SYNC_SUCCESS', 'TELEPORTED', ''].map(account),
    ...['account.add', 'account.reconnect', 'account.status.degraded', 'email.new'].map((type) =>
      event(type),
    ),
  ])('that says nothing of the connection is ignored: %j', (body) => {
    expect(readUnipileWebhook(body)).toEqual(ignored);
  });
});

describe('a new message in v2', () => {
  const content = { id: 'm1', chat_id: 'chat1', text: 'Hello', timestamp: said_at };
  const payload = { object: 'Message', ...content, is_sender: false, sender_id: 'ACoBob' };

  it('names the other person if they wrote it, and nobody if we sent it', () => {
    const ids = { kind: 'message', message_id: 'm1', provider_account_id: 'acc_1', chat_id: 'chat1' };
    const receipt = { ...ids, body: 'Hello', said_at };
    const received = { ...receipt, status: 'received', recipient: 'ACoBob' };
    expect(readUnipileWebhook(event('message.new', payload))).toEqual({ receipts: [received], ignored: 0 });
    const ours = event('message.new', { ...payload, is_sender: true });
    expect(receiptOf(ours)).toEqual({ ...receipt, status: 'sent', recipient: undefined });
  });

  it.each([{ is_event: true }, { is_sender: null }, { id: '' }])('with %j is ignored', (odd) => {
    expect(readUnipileWebhook(event('message.new', { ...payload, ...odd }))).toEqual(ignored);
  });
});
