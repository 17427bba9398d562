import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { sandboxBench, sendText, sendWhatsapp } from './sandbox-bench.ts';

const { startWith, listen, closeAll } = sandboxBench();
const whatsapp = (url: string) => ({ whatsapp: { url, appSecret: 's' } });
const unipile = (url: string) => ({ unipile: { url, secret: 'u' } });
const number = '4915100000001';
const userId = 'US.91000000015194';
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('the sandbox', () => {
  it('reports a WhatsApp message as sent and then delivered, signed and with its reference', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await startWith(whatsapp(url));
    await sendWhatsapp(sandbox, 'hi 👋');
    await expect.poll(() => calls.length).toBe(2);
    const to = { recipient_id: number, recipient_user_id: userId };
    const of = { id: sandbox.deliveries()[0]?.id, ...to, biz_opaque_callback_data: 'dm_queue/7/c1' };
    const change = (status: string) => ({
      field: 'messages',
      value: { metadata: { phone_number_id: '1001' }, statuses: [{ ...of, status }] },
    });
    const changes = calls.map(({ body }) => body.entry[0].changes[0]);
    expect(changes).toMatchObject([change('sent'), change('delivered')]);
    for (const { raw, headers } of calls) {
      const hex = createHmac('sha256', 's').update(raw).digest('hex');
      expect(headers['x-hub-signature-256']).toBe(`sha256=${hex}`);
    }
  });

  it('omits the number of a person who writes by user id, and accepts messages to that id', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await startWith(whatsapp(url));
    const chat = { provider: 'whatsapp-cloud', account: '1001' } as const;
    for (const recipient of [`+${number}`, userId]) sandbox.write({ ...chat, recipient }, 'hi');
    await expect.poll(() => calls.length).toBe(2);
    const messages = calls.map(({ body }) => body.entry[0].changes[0].value.messages[0]);
    const senders = messages.map(({ from, from_user_id }) => [from, from_user_id]);
    expect(senders.sort()).toEqual([
      [undefined, userId],
      [number, userId],
    ]);
    const sent = await sendWhatsapp(sandbox, 'a', { recipient: userId });
    expect(sent.body).toMatchObject({ contacts: [{ user_id: userId }] });
    await expect.poll(() => calls.length).toBe(4);
    const [status] = calls[3]?.body.entry[0].changes[0].value.statuses ?? [];
    expect(status).toMatchObject({ recipient_user_id: userId });
    expect(status).not.toHaveProperty('recipient_id');
    for (const to of [{ to: userId }, {}])
      expect(await sendWhatsapp(sandbox, 'a', to)).toMatchObject({ status: 400 });
  });

  it('reports a message over Unipile as sent by the account itself, with the secret', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await startWith(unipile(url));
    await sendText(sandbox, 'hi ada');
    await expect.poll(() => calls.length).toBe(1);
    expect(calls[0]?.headers['unipile-auth']).toBe('u');
    const { body } = calls[0] ?? {};
    expect(body).toMatchObject({
      event: 'message_received',
      account_id: 'acc1',
      chat_id: 'acc1__ada',
      message_id: sandbox.deliveries()[0]?.id,
      message: 'hi ada',
      attendees: [{ attendee_provider_id: 'ada' }],
    });
    expect(body.sender.attendee_provider_id).toBe(body.account_info.user_id);
  });

  it('reports a message whose response was lost, and none that was not accepted', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await startWith(unipile(url));
    for (const text of ['[[drop-before]]', '[[limit]]', '[[drop-after]]']) await sendText(sandbox, text);
    await expect.poll(() => calls.length).toBe(1);
    await wait(50);
    expect(calls.map(({ body }) => body.message)).toEqual(['[[drop-after]]']);
  });

  it('repeats a report, in the same words, until the response is 200', async () => {
    const { calls, url } = await listen(503, null, 302, 201, 200);
    await sendText(await startWith(unipile(url)), 'again');
    await expect.poll(() => calls.length).toBe(5);
    await wait(200);
    expect(new Set(calls.map(({ raw }) => raw)).size).toBe(1);
    expect(calls).toHaveLength(5);
  });

  it('gives up after five repetitions, also if the address is unreachable, and still accepts messages', async () => {
    const { calls, url } = await listen(500);
    const givenUp: string[] = [];
    const onGivenUp = (_url: string, reason: string) => void givenUp.push(reason);
    const sandbox = await startWith({ ...unipile(url), onGivenUp });
    await sendText(sandbox, 'in vain');
    await expect.poll(() => givenUp).toEqual(['status 500']);
    expect(calls).toHaveLength(6);
    expect(await sendText(sandbox, 'next')).toBe(201);
    await closeAll();
    const unheard = await startWith({ ...whatsapp(url), onGivenUp });
    expect((await sendWhatsapp(unheard, 'to nobody')).status).toBe(200);
    await expect.poll(() => givenUp.slice(-2).join()).toMatch(/ECONNREFUSED.*ECONNREFUSED/);
  });

  it('reports nothing after it has closed', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await startWith({ ...unipile(url), delayMs: [60, 60] });
    await sendText(sandbox, 'too late');
    await sandbox.close();
    await wait(120);
    expect(calls).toEqual([]);
  });
});
