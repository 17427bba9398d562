import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Receipt } from '../../lib/providers/receipt.ts';
import { unipile } from '../../lib/providers/unipile/unipile.ts';
import { readUnipileWebhook } from '../../lib/providers/unipile/unipile-webhook.ts';
import { whatsappCloud } from '../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { isSignedByMeta, readWhatsappWebhook } from '../../lib/providers/whatsapp/whatsapp-webhook.ts';
import { patienceOf } from '../../sandbox/people.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../sandbox/shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../sandbox/shapes/whatsapp-shape.ts';

const open: Sandbox[] = [];
const servers: Server[] = [];
afterEach(async () => {
  for (const sandbox of open.splice(0)) await sandbox.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Starts a sandbox and receives its webhooks with our own readers. Keeps people's replies. The first `refused` get a 503. */
async function start(options: SandboxOptions = {}, refused = 0) {
  const received: Receipt[] = [];
  const calls: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const json = JSON.parse(body.toString('utf8'));
    const signature = request.headers['x-hub-signature-256']?.toString() ?? null;
    if (request.url === '/whatsapp') expect(isSignedByMeta(body, signature, 's')).toBe(true);
    else expect(request.headers['unipile-auth']).toBe('u');
    const { receipts } = request.url === '/whatsapp' ? readWhatsappWebhook(json) : readUnipileWebhook(json);
    const replies = receipts.filter(({ status }) => status === 'received');
    if (replies.length > 0) calls.push(body.toString('utf8'));
    const isRefused = replies.length > 0 && calls.length <= refused;
    if (!isRefused) received.push(...replies);
    response.writeHead(isRefused ? 503 : 200).end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const hooks = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const webhooks = {
    whatsapp: { url: `${hooks}/whatsapp`, appSecret: 's' },
    unipile: { url: `${hooks}/unipile`, secret: 'u' },
    delayMs: [1, 5] as [number, number],
    pauseMs: 5,
  };
  const sandbox = await startSandbox({ webhooks, ...options });
  open.push(sandbox);
  const linkedin = unipile({ dsn: sandbox.url, apiKey: SANDBOX_API_KEY });
  const whatsapp = whatsappCloud({
    accessToken: SANDBOX_ACCESS_TOKEN,
    apiVersion: 'v23.0',
    baseUrl: sandbox.url,
  });
  return {
    sandbox,
    received,
    calls,
    linkedin,
    start: (recipient: string, accountId = 'ann') =>
      linkedin.startChat({ accountId, recipient, text: 'how are you?' }),
    text: (to: string) =>
      whatsapp.sendText({ phoneNumberId: '1001', to, text: 'how are you?', reference: 'r' }),
  };
}

const everybody = { shares: [1], delayMs: [1, 10] as [number, number] };
const names = Array.from({ length: 200 }, (_, index) => `person-${index}`);
const json = async (url: string, init?: RequestInit) => (await fetch(url, init)).json();

describe('a person who gets a message', () => {
  it('over LinkedIn replies, and a webhook reports the reply as the other side’s', async () => {
    const { sandbox, received, start: write, linkedin } = await start({ people: everybody });
    const { messageId, chatId } = await write('ada');
    await expect.poll(() => received.length).toBe(1);
    const [reply] = sandbox.replies();
    expect(received).toEqual([
      {
        kind: 'message',
        status: 'received',
        message_id: reply?.id,
        provider_account_id: 'ann',
        chat_id: chatId,
        recipient: 'ada',
        body: reply?.text,
        said_at: reply?.at,
      },
    ]);
    const { messages } = await linkedin.listMessages({
      accountId: 'ann',
      chatId: chatId ?? '',
      since: '2020-01-01T00:00:00.000Z',
    });
    expect(messages.map(({ id, fromUs }) => [id, fromUs])).toEqual([
      [messageId, true],
      [reply?.id, false],
    ]);
  });

  it('over WhatsApp replies, and a signed webhook reports the reply', async () => {
    const { sandbox, received, text } = await start({ people: everybody });
    await text('+49151');
    await expect.poll(() => received.length).toBe(1);
    const [reply] = sandbox.replies();
    expect(reply).toMatchObject({ provider: 'whatsapp-cloud', account: '1001', recipient: '+49151' });
    expect(received).toMatchObject([
      {
        status: 'received',
        message_id: reply?.id,
        provider_account_id: '1001',
        recipient: '49151',
        body: reply?.text,
        // Meta reports whole seconds.
        said_at: new Date(Math.floor(Date.parse(reply?.at ?? '') / 1_000) * 1_000).toISOString(),
      },
    ]);
  });

  it('has each reply reported in the same words until the webhook accepts it, and the log says when it did', async () => {
    const { sandbox, received, calls } = await start({}, 2);
    const reply = sandbox.write({ provider: 'unipile', account: 'ann', recipient: 'ada' }, 'hello?');
    expect(reply.reported_at).toBeNull();
    await expect.poll(() => received.length).toBe(1);
    expect(calls).toHaveLength(3);
    expect(new Set(calls).size).toBe(1);
    await expect.poll(() => sandbox.replies()[0]?.reported_at).toMatch(/^\d{4}-.*Z$/);
  });

  it('replies to every message, to every second one or to none, as drawn', async () => {
    const people = { shares: [0.4, 0.3], delayMs: [0, 1] as [number, number] };
    const patience = (name: string) => patienceOf(1, { provider: 'unipile', recipient: name }, people.shares);
    const [prompt, slow, silent] = [1, 2, null].map((n) => names.find((name) => patience(name) === n) ?? '');
    const { sandbox, start: write } = await start({ people });
    const counts: number[][] = [];
    for (let n = 0; n < 4; n += 1) {
      for (const name of [prompt, slow, silent]) await write(name as string);
      await new Promise((resolve) => setTimeout(resolve, 30));
      const repliesOf = (name?: string) =>
        sandbox.replies().filter(({ recipient }) => recipient === name).length;
      counts.push([repliesOf(prompt), repliesOf(slow), repliesOf(silent)]);
    }
    expect(counts).toEqual([
      [1, 0, 0],
      [2, 1, 0],
      [3, 1, 0],
      [4, 2, 0],
    ]);
  });

  it('is drawn by the seed and the address, in the requested shares', () => {
    const drawn = (seed: number) =>
      names.map((recipient) => patienceOf(seed, { provider: 'unipile', recipient }, [0.5, 0.2]));
    expect(drawn(1)).toEqual(drawn(1));
    expect(drawn(1)).not.toEqual(drawn(2));
    const count = (n: number | null) => drawn(1).filter((one) => one === n).length;
    expect(count(1)).toBeGreaterThan(80);
    expect(count(2)).toBeGreaterThan(20);
    expect(count(null)).toBeGreaterThan(40);
    const number = (recipient: string) =>
      patienceOf(1, { provider: 'whatsapp-cloud', recipient }, [0.5, 0.2]);
    expect(names.map((_, n) => number(`+49${n}`))).toEqual(names.map((_, n) => number(`49${n}`)));
  });

  it('replies only to the named accounts, and to none without the option', async () => {
    const { sandbox, start: write } = await start({ people: { ...everybody, accounts: ['ann'] } });
    await write('ada', 'bob');
    await write('ada', 'ann');
    await expect.poll(() => sandbox.replies()).toMatchObject([{ account: 'ann' }]);
    const other = await start();
    await other.start('ada');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(other.sandbox.replies()).toEqual([]);
  });

  it('writes nothing after the sandbox has closed', async () => {
    const people = { shares: [1], delayMs: [60, 60] as [number, number] };
    const { sandbox, start: write } = await start({ people });
    await write('ada');
    await sandbox.close();
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(sandbox.replies()).toEqual([]);
  });
});

describe('a person who writes first', () => {
  const writing = { provider: 'whatsapp-cloud', account: '1001', recipient: '+49151', text: 'hello?' };
  const post = (url: string, body: unknown) =>
    fetch(`${url}/replies`, { method: 'POST', body: JSON.stringify(body) });

  it('is reported, and may get free text from then on', async () => {
    const { sandbox, received, text } = await start({ enforceWindow: true });
    await expect(text('+49151')).rejects.toMatchObject({ kind: 'rejected', code: 131047 });
    expect((await post(sandbox.url, writing)).status).toBe(201);
    await expect.poll(() => received).toMatchObject([{ recipient: '49151', body: 'hello?' }]);
    await text('+49151');
    expect(sandbox.deliveries()).toHaveLength(1);
  });

  it('may be one of several in a request', async () => {
    const { sandbox, received } = await start();
    const other = { ...writing, provider: 'unipile', account: 'ann', recipient: 'ada' };
    const body = await (await post(sandbox.url, [writing, other])).json();
    expect(body).toMatchObject([{ recipient: '+49151' }, { recipient: 'ada' }]);
    expect(await json(`${sandbox.url}/replies`)).toMatchObject(
      body.map(({ id }: { id: string }) => ({ id })),
    );
    await expect.poll(() => received.length).toBe(2);
  });

  it.each([
    ['an empty body', null],
    ['another provider', { ...writing, provider: 'telegram' }],
    ['an empty text', { ...writing, text: '' }],
    ['one invalid entry of two', [writing, {}]],
  ])('is refused with %s', async (_case, body) => {
    const { sandbox } = await start();
    expect((await post(sandbox.url, body)).status).toBe(400);
    expect(sandbox.replies()).toEqual([]);
  });
});
