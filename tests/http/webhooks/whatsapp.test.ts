import { describe, expect, it, vi } from 'vitest';
import { endpoints as webhooksApi } from '../../../lib/api/webhooks.ts';
import type { Rpc } from '../../../lib/store/rpc.ts';
import { replaceRpc } from '../../support/replace-services.ts';
import {
  APP_SECRET,
  postUnsigned,
  postWhatsapp,
  signedByMeta,
  whatsappStatus as status,
  VERIFY_TOKEN,
  webhookBench,
  whatsappBody,
} from './webhook-bench.ts';

const { 'GET /webhooks/whatsapp': challenge } = webhooksApi;

const { stored } = webhookBench();
const statuses = (length: number) => Array.from({ length }, (_, n) => status({ id: `wamid.${n}` }));

describe('a WhatsApp webhook', () => {
  it('is stored as one receipt per status, and nothing else is', async () => {
    const body = whatsappBody(status(), status({ status: 'delivered' }));
    expect(await postWhatsapp(body)).toEqual({ status: 200, received: 2, new: 2, ignored: 0 });
    const receipts = await stored();
    expect(receipts).toMatchObject([
      { status: 'delivered' },
      {
        provider: 'whatsapp_cloud',
        kind: 'status',
        status: 'sent',
        message_id: 'wamid.1',
        reference: 'dm_queue/7/0f8e',
        provider_account_id: 1001,
        recipient: 4915100000001,
        body: null,
        error: null,
      },
    ]);
    expect(Date.parse(receipts[0].said_at)).toBe(Date.parse('2026-11-22T10:00:00Z'));
  });

  it('that brings a status twice, in one call or two, is stored once', async () => {
    const body = whatsappBody(status(), status());
    expect(await postWhatsapp(body)).toMatchObject({ received: 2, new: 1 });
    expect(await postWhatsapp(body)).toMatchObject({ status: 200, received: 2, new: 0 });
    expect(await stored()).toHaveLength(1);
  });

  it('that comes 100 times at once is stored once', async () => {
    const body = whatsappBody(...statuses(20));
    const responses = await Promise.all(Array.from({ length: 100 }, () => postWhatsapp(body)));
    expect(responses.every((one) => one.status === 200)).toBe(true);
    expect(responses.reduce((sum, one) => sum + one.new, 0)).toBe(20);
    expect(await stored()).toHaveLength(20);
  });

  /** Posts the statuses, and has the database cancel each call with more than `most`. Returns the sizes of the calls. */
  async function sizesOf(count: number, most: number): Promise<number[]> {
    const sizes: number[] = [];
    const bounded = (rpc: Rpc): Rpc => {
      return (fn, args) => {
        const { length } = args.p_receipts as unknown[];
        sizes.push(length);
        if (length <= most) return rpc(fn, args);
        // Not an instance of our `StoreError`: in a build, a route may meet the class of another bundle.
        throw Object.assign(new Error('canceling statement'), { name: 'StoreError', code: '57014' });
      };
    };
    await replaceRpc(bounded);
    const response = await postWhatsapp(whatsappBody(...statuses(count)));
    expect(response).toMatchObject({ received: count, new: count });
    expect(await stored()).toHaveLength(count);
    return sizes;
  }

  it('with 1,201 statuses is stored in batches of 100', async () => {
    expect(await sizesOf(1_201, 1_000)).toEqual([...Array(12).fill(100), 1]);
  });

  it('is stored in halves if the database cancels a call that takes too long', async () => {
    expect(await sizesOf(60, 30)).toEqual([60, 30, 30]);
  });

  it('is stored by its valid entries, without the characters that Postgres cannot hold', async () => {
    const odd = status({ id: 'wamid\0.1', biz_opaque_callback_data: 'a\0b\ud83d' });
    const body = whatsappBody(
      null,
      'junk',
      status({ status: 'played' }),
      odd,
      { id: 7 },
      status({ id: '\0' }),
    );
    expect(await postWhatsapp(body)).toEqual({ status: 200, received: 1, new: 1, ignored: 5 });
    expect(await stored()).toMatchObject([{ message_id: 'wamid.1', reference: 'ab\ufffd' }]);
  });

  const body = whatsappBody(status());
  it.each<[label: string, headers: Record<string, string>]>([
    ['missing', {}],
    ['empty', { 'x-hub-signature-256': '' }],
    ['made with another secret', signedByMeta(body, 'guess')],
    ['made over another body', signedByMeta(body.replace('wamid.1', 'wamid.2'))],
    ['in Unipile’s header', { 'unipile-auth': APP_SECRET }],
    ['the secret itself', { 'x-hub-signature-256': `sha256=${APP_SECRET}` }],
  ])('whose signature is %s is refused, and nothing is stored', async (_label, headers) => {
    const { status, error } = await postUnsigned(body, headers);
    expect({ status, kind: error.kind }).toEqual({ status: 401, kind: 'unauthorised' });
    expect(JSON.stringify(error)).not.toContain(APP_SECRET);
    expect(await stored()).toEqual([]);
  });
});

describe('Meta’s verification request', () => {
  const verify = (query: Record<string, string>) =>
    challenge(new Request(`http://app.test/api/webhooks/whatsapp?${new URLSearchParams(query)}`));
  const right = { 'hub.mode': 'subscribe', 'hub.verify_token': VERIFY_TOKEN, 'hub.challenge': '1158201444' };

  it('gets the challenge back as plain text', async () => {
    const response = await verify(right);
    expect([response.status, await response.text()]).toEqual([200, '1158201444']);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each<[label: string, query: Record<string, string>, status: number]>([
    ['another token', { ...right, 'hub.verify_token': 'guess' }, 401],
    ['an empty token', { ...right, 'hub.verify_token': '' }, 401],
    ['no parameters', {}, 401],
    ['another mode', { ...right, 'hub.mode': 'unsubscribe' }, 400],
    ['no challenge', { 'hub.mode': 'subscribe', 'hub.verify_token': VERIFY_TOKEN }, 400],
  ])('with %s is refused', async (_label, query, status) => {
    const response = await verify(query);
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain('1158201444');
  });

  it('answers 503 while the token is not set, and names the variable to set', async () => {
    vi.stubEnv('WHATSAPP_VERIFY_TOKEN', '');
    const response = await verify({ ...right, 'hub.verify_token': '' });
    expect(response.status).toBe(503);
    const error = { kind: 'not_configured', variables: ['WHATSAPP_VERIFY_TOKEN'] };
    expect(await response.json()).toMatchObject({ error });
  });
});
