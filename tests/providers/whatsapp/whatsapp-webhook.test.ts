import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isSignedByMeta, readWhatsappWebhook } from '../../../lib/providers/whatsapp/whatsapp-webhook.ts';

const change = (value: object, field = 'messages') => ({
  field,
  value: { messaging_product: 'whatsapp', metadata: { phone_number_id: '1001' }, ...value },
});
const webhook = (...changes: unknown[]) => ({
  object: 'whatsapp_business_account',
  entry: [{ id: 'waba', changes }],
});
const status = (more: object = {}) => ({
  id: 'wamid.1',
  status: 'sent',
  timestamp: '1795341600',
  recipient_id: '4915100000001',
  biz_opaque_callback_data: 'dm_queue/7/0f8e',
  ...more,
});

describe('the signature', () => {
  const secret = 'app-secret';
  const body = Buffer.from('{"entry":[],"name":"J\\u00fcrgen"}');
  const sign = (bytes: Buffer, key = secret) =>
    `sha256=${createHmac('sha256', key).update(bytes).digest('hex')}`;

  it('covers the raw bytes', () => {
    expect(isSignedByMeta(body, sign(body), secret)).toBe(true);
    expect(isSignedByMeta(body, sign(body).toUpperCase().replace('SHA', 'sha'), secret)).toBe(true);
    const sameJson = Buffer.from(JSON.stringify(JSON.parse(body.toString())));
    expect(isSignedByMeta(sameJson, sign(body), secret)).toBe(false);
  });

  it.each([
    ['of another secret', sign(body, 'guess')],
    ['that is missing', null],
    ['that is empty', ''],
    ['without its scheme', sign(body).slice('sha256='.length)],
    ['of the older scheme', sign(body).replace('sha256', 'sha1')],
    ['that is truncated', sign(body).slice(0, -1)],
    ['with more digits at its end', `${sign(body)}00`],
    ['that is not hexadecimal', `sha256=${'z'.repeat(64)}`],
  ])('%s is refused', (_, signature) => {
    expect(isSignedByMeta(body, signature, secret)).toBe(false);
  });
});

/** Reads the statuses and messages of one change. */
const read = (value: object) => readWhatsappWebhook(webhook(change(value)));

describe('a webhook of WhatsApp', () => {
  it('reports the status of our messages', () => {
    const statuses = ['sent', 'delivered', 'read'].map((word) => status({ status: word }));
    const { receipts, ignored } = read({ statuses });
    expect(ignored).toBe(0);
    expect(receipts.map((receipt) => receipt.status)).toEqual(['sent', 'delivered', 'read']);
    expect(receipts[0]).toEqual({
      kind: 'status',
      status: 'sent',
      message_id: 'wamid.1',
      reference: 'dm_queue/7/0f8e',
      provider_account_id: '1001',
      recipient: '4915100000001',
      said_at: '2026-11-22T10:00:00.000Z',
      error: undefined,
    });
  });

  it('reports why a message failed', () => {
    const undeliverable = { title: 'Message undeliverable', error_data: { details: 'No WhatsApp there.' } };
    const errors = [{ code: 131026, ...undeliverable }, { code: 131049 }];
    const error = '131026 Message undeliverable: No WhatsApp there.; 131049';
    const { receipts } = read({ statuses: [status({ status: 'failed', errors })] });
    expect(receipts).toMatchObject([{ status: 'failed', error }]);
  });

  it('reports received messages, but neither system messages nor messages in a group', () => {
    const number = '4915100000001';
    const system = { body: 'User A changed', wa_id: '4915100000002', type: 'user_changed_number' };
    const messages = [
      { id: 'wamid.2', from: number, timestamp: '1795341600', type: 'text', text: { body: 'Yes 👋' } },
      { id: 'wamid.3', from_user_id: 'DE.123', timestamp: '1795341601', type: 'image', image: { id: '1' } },
      { id: 'wamid.4', from: number, timestamp: '1795341600', type: 'system', system },
      { id: 'wamid.5', from: number, group_id: 'g1', type: 'text', text: { body: 'Hello all' } },
    ];
    const received = { kind: 'message', status: 'received' };
    expect(read({ messages })).toMatchObject({
      ignored: 2,
      receipts: [
        { ...received, message_id: 'wamid.2', recipient: number, body: 'Yes 👋' },
        { ...received, message_id: 'wamid.3', recipient: 'DE.123', body: undefined },
      ],
    });
  });

  it('reports the number and the user id if both are present, and otherwise the one that is', () => {
    const [number, user_id] = ['4915100000001', 'DE.123'];
    const statuses = [
      status({ recipient_user_id: user_id }),
      status({ recipient_user_id: user_id, recipient_id: undefined }),
      status({ recipient_user_id: 7 }),
    ];
    const messages = [
      { id: 'wamid.2', from: number, from_user_id: user_id },
      { id: 'wamid.3', from_user_id: user_id },
    ];
    const { receipts } = read({ statuses, messages });
    const both = [number, user_id];
    const alone = [user_id, user_id];
    const found = receipts.map((receipt) => [receipt.recipient, receipt.user_id]);
    expect(found).toEqual([both, alone, [number, undefined], both, alone]);
  });

  it('keeps its valid entries among invalid ones', () => {
    const odd = [{ id: '' }, { id: 'x'.repeat(300) }, { status: 'played' }].map(status);
    const statuses = [status(), null, 'junk', ...odd, status({ id: 'wamid.9' })];
    const changes = [
      'junk',
      change({ event: 'FLAGGED' }, 'phone_number_quality_update'),
      change({ statuses: 'junk' }),
      change({ statuses, messages: [{ from: '49' }, { id: 'wamid.4' }] }),
    ];
    const { receipts, ignored } = readWhatsappWebhook({ entry: [null, { id: 'no changes' }, { changes }] });
    expect(receipts.map((receipt) => receipt.message_id)).toEqual(['wamid.1', 'wamid.9', 'wamid.4']);
    expect(ignored).toBe(2 + 3 + 5 + 1);
  });

  it.each([[null], [[]], ['text'], [7], [{}], [{ entry: 'junk' }], [{ entry: {} }]])(
    'that is %j is ignored',
    (body) => {
      expect(readWhatsappWebhook(body)).toEqual({ receipts: [], ignored: 1 });
    },
  );

  it('omits optional fields that are not valid', () => {
    const bare = { id: 'wamid.5', status: 'delivered', timestamp: 'soon', recipient_id: 7, errors: 'none' };
    expect(read({ metadata: 'none', statuses: [bare] }).receipts).toEqual([
      { kind: 'status', status: 'delivered', message_id: 'wamid.5' },
    ]);
  });

  it('has no instant if the timestamp is not one', () => {
    const timestamps = ['-1', '0', '', '99999999999999999', 'Infinity', null];
    const { receipts } = read({ statuses: timestamps.map((timestamp) => status({ timestamp })) });
    expect(receipts.map((receipt) => receipt.said_at ?? null)).toEqual(timestamps.map(() => null));
  });
});
