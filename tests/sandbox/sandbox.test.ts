import { describe, expect, it } from 'vitest';
import { whatsappCloud } from '../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { DeliveryLog, logJson } from '../../lib/sandbox/delivery-log.ts';
import { accessToken, apiKey, post, read, sandboxBench, sendText, sendWhatsapp } from './sandbox-bench.ts';

const { start } = sandboxBench();
const texts = (count: number) => Array.from({ length: count }, (_, number) => `text ${number}`);

describe('the log', () => {
  it('lists over HTTP the messages that were really delivered', async () => {
    const sandbox = await start();
    await sendText(sandbox, 'one');
    await sendText(sandbox, 'two', 'acc2__bob');
    await sendText(sandbox, 'three', 'acc2__gone-bob');
    expect(await read(sandbox, '/deliveries')).toMatchObject([
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
});

describe('a list', () => {
  it('of a chat’s messages comes page by page, newest first', async () => {
    const sandbox = await start();
    for (const text of ['a', 'b', 'c']) await sendText(sandbox, text);
    await sendText(sandbox, 'elsewhere', 'acc1__bob');
    const path = '/api/v1/chats/acc1__ada/messages?limit=2';
    const first = await read(sandbox, path);
    const [, b, c] = sandbox.deliveries();
    expect(first.items).toMatchObject([
      { text: 'c', account_id: 'acc1', is_sender: 1, id: c?.id },
      { text: 'b', timestamp: b?.at },
    ]);
    const second = await read(sandbox, `${path}&cursor=${first.cursor}`);
    expect(second).toMatchObject({ items: [{ text: 'a' }], cursor: null });
  });

  it.each([
    ['v1', '/api/v1/chats?account_id=lister&limit=1', 'items', 'cursor'],
    ['v2', '/v2/lister/chats?limit=1', 'data', 'next_cursor'],
  ])('of an account’s chats by %s comes page by page, the latest first', async (_, path, list, cursor) => {
    const sandbox = await start();
    const chat = { provider: 'unipile', account: 'lister', recipient: 'ada', text: 'hi' };
    await post(sandbox, '/replies', [chat, { ...chat, recipient: 'bob' }, { ...chat, account: 'other' }]);
    const first = await read(sandbox, path);
    expect(first[list]).toMatchObject([{ id: 'lister__bob' }]);
    const rest = `?account_id=lister&limit=1&cursor=${first[cursor]}`;
    const second = await read(sandbox, `${path.split('?')[0]}${rest}`);
    expect(second[list]).toMatchObject([{ id: 'lister__ada' }]);
    expect(second[cursor] ?? null).toBeNull();
  });
});

describe('faults', () => {
  it('repeat with the seed, in any order of arrival', async () => {
    const fates = async (order: string[]) => {
      const sandbox = await start({ seed: 5, rateLimited: 0.3 });
      const entries = order.map(async (text) => [text, await sendText(sandbox, text)] as const);
      return new Map((await Promise.all(entries)).sort());
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
    const change = async (body: string) => (await post(sandbox, '/faults', body)).status;
    expect(await change('{"rateLimited":1}')).toBe(200);
    expect(await sendText(sandbox, 'limited')).toBe(429);
    for (const body of ['{"rateLimited":2}', '{"typo":1}', '{"latencyMs":[9,1]}', 'x'])
      expect(await change(body)).toBe(400);
    const faults = { latencyMs: [0, 0], rateLimited: 1, lost: 0, restricted: [], disconnected: [] };
    expect(await read(sandbox, '/faults')).toEqual(faults);
  });

  it('refuse a restricted account and no other, until the restriction is lifted', async () => {
    const sandbox = await start();
    const restrict = (restricted: string[]) => post(sandbox, '/faults', { restricted });
    await restrict(['acc1', '1001']);
    for (let times = 0; times < 2; times += 1) expect(await sendText(sandbox, '[[drop-after]]')).toBe(403);
    const client = whatsappCloud({ accessToken: 'sandbox-token', apiVersion: 'v23.0', baseUrl: sandbox.url });
    const sending = client.sendText({ phoneNumberId: '1001', to: '+49151', text: 'hi', reference: 'r' });
    const refused = { kind: 'account_refused', scope: 'account', code: 131031 };
    await expect(sending).rejects.toMatchObject(refused);
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

  const form = new FormData();
  form.append('text', 'hi');
  const sticker = JSON.stringify({ messaging_product: 'whatsapp', to: '+49', type: 'sticker' });
  it.each<[label: string, path: string, headers: Record<string, string>, body: BodyInit, status: number]>([
    ['without the key', '/api/v1/chats/a__b/messages', {}, 'x', 401],
    ['of an unknown chat', '/api/v1/chats/nobody/messages', apiKey, form, 404],
    ['that is not a form', '/api/v1/chats/a__b/messages', apiKey, '{', 400],
    ['above 1 MB', '/v23.0/1/messages', {}, 'x'.repeat(1024 * 1024 + 1), 413],
    ['without the token', '/v23.0/1/messages', {}, '{}', 401],
    ['of another type', '/v23.0/1/messages', accessToken, sticker, 400],
  ])('%s is refused', async (_label, path, headers, body, status) => {
    const sandbox = await start();
    expect((await fetch(sandbox.url + path, { method: 'POST', headers, body })).status).toBe(status);
    expect(sandbox.deliveries()).toHaveLength(0);
  });
});

describe('a WhatsApp message', () => {
  const template = (name: string, ...parameters: string[]) => {
    const body = { type: 'body', parameters: parameters.map((text) => ({ type: 'text', text })) };
    const components = parameters.length > 0 ? [body] : undefined;
    return { type: 'template', template: { name, language: { code: 'en' }, components } };
  };

  it.each([
    ['with an empty parameter', template('day_1', ''), 400, 100],
    ['of a template without a name', { type: 'template', template: {} }, 400, 100],
    ['without a template', { type: 'template' }, 400, 131051],
  ])('%s is refused', async (_message, content, status, code) => {
    const sandbox = await start();
    expect(await sendWhatsapp(sandbox, content)).toMatchObject({ status, code });
    expect(sandbox.deliveries()).toEqual([]);
  });

  it('reaches people who have written and, if the window is enforced, all others only as a template', async () => {
    const sandbox = await start({ enforceWindow: true });
    sandbox.write({ provider: 'whatsapp-cloud', account: '1001', recipient: '49151' }, 'hello?');
    sandbox.write({ provider: 'whatsapp-cloud', account: '1002', recipient: '49152' }, 'hello?');
    const code = async (content: string | object, to: string, by = sandbox) =>
      (await sendWhatsapp(by, content, { to })).code;
    expect(await code('hi', '+49151')).toBeNull();
    expect(await code('hi', '+49152')).toBe(131047);
    expect(await code(template('day_1'), '+49152')).toBeNull();
    expect(await code('hi', '+49152', await start())).toBeNull();
  });
});
