import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { unipile } from '../../lib/providers/unipile/unipile.ts';
import { whatsappCloud } from '../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { DeliveryLog, logJson } from '../../sandbox/delivery-log.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/sandbox.ts';

const open: Sandbox[] = [];
afterEach(async () => {
  for (const sandbox of open.splice(0)) await sandbox.close();
});

async function start(options?: SandboxOptions): Promise<Sandbox> {
  const sandbox = await startSandbox(options);
  open.push(sandbox);
  return sandbox;
}

/** Posts a text to a chat. Returns the status, or null if the connection was lost. */
async function sendText(sandbox: Sandbox, text: string, chat = 'acc1__ada', signal?: AbortSignal) {
  const body = new FormData();
  body.append('text', text);
  const headers = { 'x-api-key': 'sandbox-key' };
  const url = `${sandbox.url}/api/v1/chats/${chat}/messages`;
  return fetch(url, { method: 'POST', body, headers, signal }).then(
    (response) => response.status,
    () => null,
  );
}

const texts = (count: number) => Array.from({ length: count }, (_, number) => `text ${number}`);
const json = async (url: string, init?: RequestInit) => (await fetch(url, init)).json();

describe('the log', () => {
  it('lists over HTTP the messages that were really delivered', async () => {
    const sandbox = await start();
    await sendText(sandbox, 'one');
    await sendText(sandbox, 'two', 'acc2__bob');
    await sendText(sandbox, 'three', 'acc2__gone-bob');
    expect(await json(`${sandbox.url}/deliveries`)).toMatchObject([
      { account: 'acc1', recipient: 'ada', text: 'one', at: expect.stringMatching(/^\d{4}-.*T.*Z$/) },
      { account: 'acc2', recipient: 'bob', text: 'two' },
    ]);
  });

  it.each([0, 1, 1000, 2001])('is one JSON array for %d deliveries', (count) => {
    const log = new DeliveryLog();
    for (const text of texts(count)) log.take({ provider: 'unipile', account: 'a', recipient: 'b', text });
    expect(JSON.parse([...logJson(log.all())].join(''))).toEqual(log.all());
    expect(new Set(log.all().map(({ id }) => id)).size).toBe(count);
  });

  it('lists a chat page by page, newest first', async () => {
    const sandbox = await start();
    for (const text of ['a', 'b', 'c']) await sendText(sandbox, text);
    await sendText(sandbox, 'elsewhere', 'acc1__bob');
    const headers = { 'x-api-key': 'sandbox-key' };
    const url = `${sandbox.url}/api/v1/chats/acc1__ada/messages?limit=2`;
    const first = await json(url, { headers });
    expect(first.items).toMatchObject([
      { text: 'c', account_id: 'acc1', is_sender: 1, id: sandbox.deliveries()[2]?.id },
      { text: 'b', timestamp: sandbox.deliveries()[1]?.at },
    ]);
    const second = await json(`${url}&cursor=${first.cursor}`, { headers });
    expect(second).toMatchObject({ items: [{ text: 'a' }], cursor: null });
  });
});

describe('faults', () => {
  it('repeat with the seed, in any order of arrival', async () => {
    const rates = { seed: 5, rateLimited: 0.3 };
    const fates = async (order: string[]) => {
      const sandbox = await start(rates);
      const entries = await Promise.all(
        order.map(async (text) => [text, await sendText(sandbox, text)] as const),
      );
      return new Map(entries.sort());
    };
    const forwards = await fates(texts(40));
    expect(await fates(texts(40).reverse())).toEqual(forwards);
    expect(new Set(forwards.values())).toEqual(new Set([201, 429]));
  });

  it('lose half of the connections before the message is accepted, and half after', async () => {
    const sandbox = await start({ lost: 0.5 });
    const all = await Promise.all(texts(60).map((text) => sendText(sandbox, text)));
    const lost = all.filter((status) => status === null).length;
    const acceptedAndLost = sandbox.deliveries().length - all.filter((status) => status === 201).length;
    expect(lost).toBeGreaterThan(15);
    expect(acceptedAndLost).toBe(Math.floor(lost / 2));
  });

  it('can be changed at run time, and invalid settings change nothing', async () => {
    const sandbox = await start();
    const change = (body: string) => fetch(`${sandbox.url}/faults`, { method: 'POST', body });
    expect((await change('{"rateLimited":1}')).status).toBe(200);
    expect(await sendText(sandbox, 'limited')).toBe(429);
    for (const body of ['{"rateLimited":2}', '{"typo":1}', '{"latencyMs":[9,1]}', 'x']) {
      expect((await change(body)).status).toBe(400);
    }
    expect(await json(`${sandbox.url}/faults`)).toEqual({
      latencyMs: [0, 0],
      rateLimited: 1,
      lost: 0,
      restricted: [],
      disconnected: [],
    });
  });

  it('refuse a restricted account and no other, until the restriction is lifted', async () => {
    const sandbox = await start();
    const restrict = (restricted: string[]) =>
      fetch(`${sandbox.url}/faults`, { method: 'POST', body: JSON.stringify({ restricted }) });
    const linkedin = unipile({ dsn: sandbox.url, apiKey: 'sandbox-key' });
    const whatsapp = whatsappCloud({
      accessToken: 'sandbox-token',
      apiVersion: 'v23.0',
      baseUrl: sandbox.url,
    });
    const send = () =>
      linkedin.sendMessage({ accountId: 'acc1', chatId: 'acc1__ada', text: '[[drop-after]]' });
    await restrict(['acc1', '1001']);
    const refused = { kind: 'account_refused', scope: 'account' };
    for (let times = 0; times < 2; times += 1)
      await expect(send()).rejects.toMatchObject({ ...refused, code: 'errors/account_restricted' });
    const text = { phoneNumberId: '1001', to: '+49151', text: 'hi', reference: 'r' };
    await expect(whatsapp.sendText(text)).rejects.toMatchObject({ ...refused, code: 131031 });
    expect(await sendText(sandbox, 'of another', 'acc2__ada')).toBe(201);
    await restrict([]);
    expect(await sendText(sandbox, 'mended')).toBe(201);
    expect(sandbox.deliveries()).toHaveLength(2);
  });

  it('spare a steady account, except for faults that its messages request', async () => {
    const sandbox = await start({ rateLimited: 0.5, lost: 0.5, steady: ['acc1'] });
    for (const text of texts(10)) expect(await sendText(sandbox, text)).toBe(201);
    expect(await sendText(sandbox, '[[429:1]]')).toBe(429);
    expect(await sendText(sandbox, 'to another', 'acc2__ada')).not.toBe(201);
  });

  it('do not affect a message that is refused anyway', async () => {
    const sandbox = await start({ lost: 1 });
    expect(await sendText(sandbox, '[[drop-after]]', 'acc1__gone-x')).toBe(422);
    expect(sandbox.deliveries()).toHaveLength(0);
  });
});

describe('a message', () => {
  it('is accepted after its delay even if the client has disconnected', async () => {
    const sandbox = await start();
    expect(await sendText(sandbox, '[[slow:150]]', 'acc1__ada', AbortSignal.timeout(50))).toBeNull();
    expect(sandbox.deliveries()).toHaveLength(0);
    await expect.poll(() => sandbox.deliveries()).toHaveLength(1);
  });

  it('whose response trickles to a disconnected client does not crash the sandbox', async () => {
    const sandbox = await start();
    await sendText(sandbox, '[[slow:80]] [[trickle]]', 'acc1__ada', AbortSignal.timeout(20));
    await expect.poll(() => sandbox.deliveries()).toHaveLength(1);
    expect(await sendText(sandbox, 'next')).toBe(201);
  });

  it('takes at least its latency', async () => {
    const sandbox = await start({ latencyMs: [60, 80] });
    const began = performance.now();
    await sendText(sandbox, 'later');
    expect(performance.now() - began).toBeGreaterThanOrEqual(58);
  });

  it.each([
    ['without the key', '/api/v1/chats/a__b/messages', {}, 'x', 401],
    ['of an unknown chat', '/api/v1/chats/nobody/messages', { 'x-api-key': 'sandbox-key' }, 'form', 404],
    ['that is not a form', '/api/v1/chats/a__b/messages', { 'x-api-key': 'sandbox-key' }, '{', 400],
    ['above 1 MB', '/v23.0/1/messages', {}, 'x'.repeat(1024 * 1024 + 1), 413],
    ['without the token', '/v23.0/1/messages', {}, '{}', 401],
    ['of another type', '/v23.0/1/messages', { authorization: 'Bearer sandbox-token' }, 'sticker', 400],
  ])('%s is refused', async (_, path, headers, content, status) => {
    const sandbox = await start();
    const form = new FormData();
    form.append('text', 'hi');
    const sticker = JSON.stringify({ messaging_product: 'whatsapp', to: '+49', type: 'sticker' });
    const body = content === 'form' ? form : content === 'sticker' ? sticker : content;
    const response = await fetch(sandbox.url + path, { method: 'POST', headers, body });
    expect(response.status).toBe(status);
    expect(sandbox.deliveries()).toHaveLength(0);
  });
});

describe('a WhatsApp message', () => {
  const template = (name: string, ...parameters: string[]) => ({
    type: 'template',
    template: {
      name,
      language: { code: 'en' },
      components:
        parameters.length > 0
          ? [{ type: 'body', parameters: parameters.map((one) => ({ type: 'text', text: one })) }]
          : undefined,
    },
  });
  const text = { type: 'text', text: { body: 'hi' } };

  async function send(sandbox: Sandbox, content: object, to = '+49151') {
    const response = await fetch(`${sandbox.url}/v23.0/1001/messages`, {
      method: 'POST',
      headers: { authorization: 'Bearer sandbox-token' },
      body: JSON.stringify({ messaging_product: 'whatsapp', to, ...content }),
    });
    const body = await response.json();
    return [response.status, body.error?.code ?? null];
  }

  it('may be a template, which the log contains as text and in full', async () => {
    const sandbox = await start();
    expect(await send(sandbox, template('day_1', 'Ada', 'seven'))).toEqual([200, null]);
    expect(await send(sandbox, template('hello'))).toEqual([200, null]);
    expect(sandbox.deliveries()).toMatchObject([
      {
        text: 'day_1 (en): Ada | seven',
        template: { name: 'day_1', language: 'en', parameters: ['Ada', 'seven'] },
      },
      { text: 'hello (en)', template: { name: 'hello', language: 'en', parameters: [] } },
    ]);
  });

  it.each([
    ['of an unapproved template', template('unapproved_day'), [404, 132001]],
    ['with an empty parameter', template('day_1', ''), [400, 100]],
    ['of a template without a name', { type: 'template', template: {} }, [400, 100]],
    ['without a template', { type: 'template' }, [400, 131051]],
  ])('%s is refused', async (_message, content, refusal) => {
    const sandbox = await start();
    expect(await send(sandbox, content)).toEqual(refusal);
    expect(sandbox.deliveries()).toEqual([]);
  });

  it('reaches people who have written and, if the window is enforced, all others only as a template', async () => {
    const sandbox = await start({ enforceWindow: true });
    sandbox.write({ provider: 'whatsapp-cloud', account: '1001', recipient: '49151' }, 'hello?');
    sandbox.write({ provider: 'whatsapp-cloud', account: '1002', recipient: '49152' }, 'hello?');
    expect(await send(sandbox, text)).toEqual([200, null]);
    expect(await send(sandbox, text, '+49152')).toEqual([400, 131047]);
    expect(await send(sandbox, template('day_1'), '+49152')).toEqual([200, null]);
    expect(await send(await start(), text, '+49152')).toEqual([200, null]);
  });
});

describe('the chats with a person', () => {
  const chats = async (sandbox: Sandbox, attendee: string, query = '') => {
    const headers = { 'x-api-key': 'sandbox-key' };
    const url = `${sandbox.url}/api/v1/chat_attendees/${attendee}/chats${query}`;
    const response = await fetch(url, { headers });
    return { status: response.status, ...(await response.json()) };
  };

  it('are those with a delivered message', async () => {
    const sandbox = await start();
    await sendText(sandbox, 'hi', 'acc1__ada');
    await sendText(sandbox, 'hi', 'acc2__ada');
    await sendText(sandbox, '[[500]]', 'acc3__ada');
    expect(await chats(sandbox, 'ada', '?account_id=acc2')).toMatchObject({
      status: 200,
      object: 'ChatList',
      items: [{ object: 'Chat', id: 'acc2__ada', account_id: 'acc2' }],
      cursor: null,
    });
    expect((await chats(sandbox, 'ada')).items).toHaveLength(2);
    expect(await chats(sandbox, 'ada', '?account_id=acc3')).toMatchObject({ status: 200, items: [] });
    expect(await chats(sandbox, 'bob')).toMatchObject({ status: 404, type: 'errors/resource_not_found' });
  });
});

describe('the process', () => {
  const run = (...args: string[]) => runIn({}, ...args);
  const runIn = (env: Record<string, string>, ...args: string[]) =>
    spawn(process.execPath, ['--import', 'tsx', 'sandbox/main.ts', ...args], {
      stdio: 'pipe',
      env: { ...process.env, WHATSAPP_APP_SECRET: '', UNIPILE_WEBHOOK_SECRET: '', ...env },
    });
  const firstLine = async (stream: ChildProcess['stdout']) =>
    String((await once(stream as never, 'data'))[0]);

  it('prints its address, complains if the port is in use, and exits on SIGTERM', async () => {
    const sandbox = await start();
    const busy = run('--port', new URL(sandbox.url).port);
    const child = run('--port', '0', '--quiet', '--latency', '1-2', '--seed', '9');
    const [complaint, line] = await Promise.all([firstLine(busy.stderr), firstLine(child.stdout)]);
    expect(complaint).toMatch(/^Port \d+ is in use/);
    const url = /^sandbox listening on (http:\/\/127\.0\.0\.1:\d+)\n/.exec(line)?.[1];
    for (const setting of [
      `UNIPILE_DSN=${url}`,
      'UNIPILE_API_KEY=sandbox-key',
      'WHATSAPP_ACCESS_TOKEN=sandbox-token',
    ])
      expect(line).toContain(`\n${setting}\n`);
    expect(await (await fetch(`${url}/`)).text()).toContain('sandbox');
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('sends webhooks with the secrets of its environment, and does not start without a secret or with invalid options', async () => {
    const withoutSecret = run('--port', '0', '--unipile-webhook', 'http://127.0.0.1:9/');
    const badAddress = runIn({ WHATSAPP_APP_SECRET: 's' }, '--port', '0', '--whatsapp-webhook', 'nowhere');
    const received: { secret: unknown; raw: string }[] = [];
    const hook = createServer(async (request, response) => {
      let raw = '';
      for await (const chunk of request) raw += chunk;
      received.push({ secret: request.headers['unipile-auth'], raw });
      response.end();
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
    const flags = ['--port', '0', '--latency', '0-1', '--unipile-webhook', address];
    const people = ['--people', '0.5,0.5', '--answer-after', '1-2', '--answered', 'acc1', '--steady', 'acc1'];
    const child = runIn({ UNIPILE_WEBHOOK_SECRET: 'u' }, ...flags, ...people);
    const badShares = run('--port', '0', '--people', '0.7,0.7');
    const [complaint, other, third, line] = await Promise.all([
      firstLine(withoutSecret.stderr),
      firstLine(badAddress.stderr),
      firstLine(badShares.stderr),
      firstLine(child.stdout),
    ]);
    expect(complaint).toContain('UNIPILE_WEBHOOK_SECRET');
    expect(other).toContain('--whatsapp-webhook must be an address');
    expect(third).toContain('--people must add up to 1 at most');
    const url = /http:\S+/.exec(line)?.[0] ?? '';
    // With the default fault rates at least one of these is delivered.
    for (const text of texts(5)) await sendText({ url } as Sandbox, text);
    const untilReceived = (words: string) =>
      expect.poll(() => received.some(({ raw }) => raw.includes(words))).toBe(true);
    await untilReceived('"message":"text ');
    await untilReceived('"is_sender":false');
    expect(new Set(received.map(({ secret }) => secret))).toEqual(new Set(['u']));
    child.kill('SIGTERM');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await new Promise((resolve) => hook.close(resolve));
  });
});

describe('the chats of an account', () => {
  it.each([
    ['v1', '/api/v1/chats?account_id=lister&limit=1', 'items', 'cursor'],
    ['v2', '/v2/lister/chats?limit=1', 'data', 'next_cursor'],
  ])(
    'are listed by %s page by page, the latest first, and only those of the account',
    async (_, path, list, cursor) => {
      const sandbox = await start();
      const chats = ['ada', 'bob'].map((recipient) => ({
        provider: 'unipile',
        account: 'lister',
        recipient,
        text: 'hi',
      }));
      const other = { provider: 'unipile', account: 'other', recipient: 'ada', text: 'hi' };
      await fetch(`${sandbox.url}/replies`, { method: 'POST', body: JSON.stringify([...chats, other]) });
      const headers = { 'x-api-key': 'sandbox-key', 'cache-control': 'no-cache' };
      const ids: string[] = [];
      let next = path;
      for (let page = 0; page < 2; page += 1) {
        const body = await (await fetch(`${sandbox.url}${next}`, { headers })).json();
        ids.push(...body[list].map(({ id }: { id: string }) => id));
        next = `${path.split('?')[0]}?account_id=lister&limit=1&cursor=${body[cursor]}`;
        expect(Boolean(body[cursor])).toBe(page === 0);
      }
      expect(ids).toEqual(['lister__bob', 'lister__ada']);
    },
  );
});
