import { describe, expect, it, vi } from 'vitest';
import { endpoints as webhooksApi } from '../../../lib/api/webhooks.ts';
import { supabaseRpc } from '../../../lib/store/supabase-rpc.ts';
import { replaceRpc } from '../../support/replace-services.ts';
import {
  postUnipile,
  postUnsigned,
  postWhatsapp,
  signedByMeta,
  unipileBody,
  webhookBench,
  whatsappBody,
  whatsappStatus,
} from './webhook-bench.ts';

const { 'POST /webhooks/whatsapp': whatsapp } = webhooksApi;

const { stored } = webhookBench();
const body = whatsappBody(whatsappStatus());

describe('a webhook', () => {
  it.each(['', ' ', undefined])(
    'answers 503 while its secret is %j, and names the variable to set',
    async (value) => {
      vi.stubEnv('WHATSAPP_APP_SECRET', value);
      vi.stubEnv('UNIPILE_WEBHOOK_SECRET', value);
      const guess = value ?? '';
      const notSet = (variable: string) => ({
        status: 503,
        error: { kind: 'not_configured', variables: [variable] },
      });
      expect(await postWhatsapp(body, signedByMeta(body, guess))).toMatchObject(
        notSet('WHATSAPP_APP_SECRET'),
      );
      const response = await postUnipile(unipileBody(), { 'unipile-auth': guess });
      expect(response).toMatchObject(notSet('UNIPILE_WEBHOOK_SECRET'));
      expect(await stored()).toEqual([]);
    },
  );

  it.each<[label: string, body: string | Uint8Array<ArrayBuffer>]>([
    ['not JSON', 'a=b'],
    ['empty', ''],
    ['cut off', '{"entry":['],
    ['not UTF-8', Uint8Array.from([0x22, 0xff, 0xfe, 0x22])],
    ['nested 200,000 levels deep', '['.repeat(200_000) + ']'.repeat(200_000)],
  ])('that is %s answers 400', async (_label, body) => {
    expect(await postWhatsapp(body)).toMatchObject({ status: 400, error: { kind: 'invalid_json' } });
  });

  it('above 3 MB is refused by its bytes, whatever length it claims, even if it is unsigned', async () => {
    let pulled = 0;
    const chunk = new Uint8Array(256 * 1024).fill(0x20);
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(chunk);
      },
    });
    const response = await postUnsigned(endless, { 'content-length': '10' });
    expect(response).toMatchObject({ status: 413, error: { kind: 'too_large' } });
    expect(pulled).toBeLessThan(20);
  });

  it('of 3 MB, the largest that Meta sends, is read', async () => {
    expect(await postWhatsapp(body.padEnd(3 * 1024 * 1024, ' '))).toMatchObject({ status: 200, new: 1 });
  });

  it('that breaks off answers 400', async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error('the client has gone')),
    });
    expect(await postUnsigned(broken)).toMatchObject({ status: 400, error: { kind: 'incomplete' } });
  });

  it('answers 503 with Retry-After while the database is unreachable', async () => {
    await replaceRpc(() => supabaseRpc({ url: 'http://127.0.0.1:1', serviceRoleKey: 'key' }));
    const request = { method: 'POST', headers: signedByMeta(body), body };
    const response = await whatsapp(new Request('http://app.test/', request));
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '5']);
    expect((await response.json()).error.kind).toBe('database_unavailable');
  });
});
