import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import type { WebhookSettings } from '../../sandbox/webhooks.ts';

const servers: Server[] = [];
const sandboxes: Sandbox[] = [];
afterEach(async () => {
  for (const sandbox of sandboxes.splice(0)) await sandbox.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

interface Call {
  headers: IncomingHttpHeaders;
  raw: string;
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape, for assertions
  body: any;
}

/** Receives webhooks. Responds with the next status, and with the last one from then on; null cuts the connection. */
async function listen(...statuses: (number | null)[]) {
  const calls: Call[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const raw = Buffer.concat(chunks).toString('utf8');
    const status = statuses[Math.min(calls.length, statuses.length - 1)] ?? null;
    calls.push({ headers: request.headers, raw, body: JSON.parse(raw) });
    if (status === null) response.destroy();
    else response.writeHead(status).end('heard');
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { calls, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` };
}

async function start(webhooks: WebhookSettings): Promise<Sandbox> {
  const sandbox = await startSandbox({ webhooks: { delayMs: [1, 20], pauseMs: 5, ...webhooks } });
  sandboxes.push(sandbox);
  return sandbox;
}

function sendByWhatsapp(sandbox: Sandbox, text: string) {
  return fetch(`${sandbox.url}/v23.0/1001/messages`, {
    method: 'POST',
    headers: { authorization: 'Bearer sandbox-token' },
    body: JSON.stringify({
      messaging_product: 'whatsapp',
      to: '+4915100000001',
      type: 'text',
      text: { body: text },
      biz_opaque_callback_data: 'dm_queue/7/c1',
    }),
  });
}

function sendByUnipile(sandbox: Sandbox, text: string) {
  const body = new FormData();
  body.append('text', text);
  const headers = { 'x-api-key': 'sandbox-key' };
  return fetch(`${sandbox.url}/api/v1/chats/acc1__ada/messages`, { method: 'POST', headers, body });
}

describe('the sandbox', () => {
  it('reports a WhatsApp message as sent and then delivered, signed and with its reference', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await start({ whatsapp: { url, appSecret: 's' } });
    await sendByWhatsapp(sandbox, 'hi 👋');
    await expect.poll(() => calls.length).toBe(2);
    const id = sandbox.deliveries()[0]?.id;
    expect(calls.map(({ body }) => body.entry[0].changes[0])).toMatchObject(
      ['sent', 'delivered'].map((status) => ({
        field: 'messages',
        value: {
          metadata: { phone_number_id: '1001' },
          statuses: [
            {
              id,
              status,
              recipient_id: '4915100000001',
              recipient_user_id: 'US.91000000015194',
              biz_opaque_callback_data: 'dm_queue/7/c1',
            },
          ],
        },
      })),
    );
    for (const { raw, headers } of calls) {
      const hex = createHmac('sha256', 's').update(raw).digest('hex');
      expect(headers['x-hub-signature-256']).toBe(`sha256=${hex}`);
    }
  });

  it('omits the number of a person who writes by user id, and accepts messages to that id', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await start({ whatsapp: { url, appSecret: 's' } });
    const [number, userId] = ['+4915100000001', 'US.91000000015194'];
    const chat = { provider: 'whatsapp-cloud', account: '1001' } as const;
    sandbox.write({ ...chat, recipient: number }, 'hi');
    sandbox.write({ ...chat, recipient: userId }, 'hi');
    await expect.poll(() => calls.length).toBe(2);
    const messages = calls.map(({ body }) => body.entry[0].changes[0].value.messages[0]);
    expect(messages.map(({ from, from_user_id }) => [from, from_user_id]).sort()).toEqual([
      [undefined, userId],
      ['4915100000001', userId],
    ]);
    const send = (to: object) =>
      fetch(`${sandbox.url}/v23.0/1001/messages`, {
        method: 'POST',
        headers: { authorization: 'Bearer sandbox-token' },
        body: JSON.stringify({ messaging_product: 'whatsapp', ...to, type: 'text', text: { body: 'a' } }),
      });
    expect(await (await send({ recipient: userId })).json()).toMatchObject({
      contacts: [{ user_id: userId }],
    });
    await expect.poll(() => calls.length).toBe(4);
    const [status] = calls[3]?.body.entry[0].changes[0].value.statuses ?? [];
    expect(status).toMatchObject({ recipient_user_id: userId });
    expect(status).not.toHaveProperty('recipient_id');
    expect((await send({ to: userId })).status).toBe(400);
    expect((await send({})).status).toBe(400);
  });

  it('reports a message over Unipile as sent by the account itself, with the secret', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await start({ unipile: { url, secret: 'u' } });
    await sendByUnipile(sandbox, 'hi ada');
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
    const sandbox = await start({ unipile: { url, secret: 'u' } });
    await sendByUnipile(sandbox, '[[drop-before]]').catch(() => null);
    await sendByUnipile(sandbox, '[[limit]]');
    await sendByUnipile(sandbox, '[[drop-after]]').catch(() => null);
    await expect.poll(() => calls.length).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(calls.map(({ body }) => body.message)).toEqual(['[[drop-after]]']);
  });

  it('repeats a report, in the same words, until the response is 200', async () => {
    const { calls, url } = await listen(503, null, 302, 201, 200);
    const sandbox = await start({ unipile: { url, secret: 'u' } });
    await sendByUnipile(sandbox, 'again');
    await expect.poll(() => calls.length).toBe(5);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(new Set(calls.map(({ raw }) => raw)).size).toBe(1);
    expect(calls).toHaveLength(5);
  });

  it('gives up after five repetitions and still accepts messages', async () => {
    const { calls, url } = await listen(500);
    const givenUp: string[] = [];
    const sandbox = await start({
      unipile: { url, secret: 'u' },
      onGivenUp: (_url, reason) => givenUp.push(reason),
    });
    await sendByUnipile(sandbox, 'in vain');
    await expect.poll(() => givenUp).toEqual(['status 500']);
    expect(calls).toHaveLength(6);
    expect((await sendByUnipile(sandbox, 'next')).status).toBe(201);
  });

  it('accepts messages while the webhook’s address is unreachable', async () => {
    const { url } = await listen(200);
    await new Promise((resolve) => servers.pop()?.close(resolve));
    const givenUp: string[] = [];
    const sandbox = await start({
      whatsapp: { url, appSecret: 's' },
      onGivenUp: (_url, reason) => givenUp.push(reason),
    });
    expect((await sendByWhatsapp(sandbox, 'to nobody')).status).toBe(200);
    await expect.poll(() => givenUp).toHaveLength(2);
    expect(givenUp.join()).toContain('ECONNREFUSED');
  });

  it('reports nothing after it has closed', async () => {
    const { calls, url } = await listen(200);
    const sandbox = await start({ unipile: { url, secret: 'u' }, delayMs: [60, 60] });
    await sendByUnipile(sandbox, 'too late');
    await sandbox.close();
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(calls).toEqual([]);
  });
});
