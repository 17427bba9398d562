import { describe, expect, it } from 'vitest';
import { unipile } from '../../lib/providers/unipile/unipile.ts';
import { readUnipileWebhook } from '../../lib/providers/unipile/unipile-webhook.ts';
import { isSignedByMeta, readWhatsappWebhook } from '../../lib/providers/whatsapp/whatsapp-webhook.ts';
import { patienceOf } from '../../lib/sandbox/people.ts';
import type { SandboxOptions } from '../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../lib/sandbox/shapes/unipile-shape.ts';
import { post, read, sandboxBench, sendText, sendWhatsapp } from './sandbox-bench.ts';

const bench = sandboxBench();
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
type Delay = [number, number];

/** Starts a sandbox whose webhooks our own readers read. `statuses` are the responses to them. */
async function start(options: SandboxOptions = {}, ...statuses: number[]) {
  const { calls, url } = await bench.listen(...statuses, 200);
  const webhooks = {
    whatsapp: { url: `${url}/whatsapp`, appSecret: 's' },
    unipile: { url: `${url}/unipile`, secret: 'u' },
  };
  const sandbox = await bench.startWith(webhooks, options);
  /** The replies that were reported so far. */
  const received = () =>
    calls
      .flatMap(({ url, headers, raw, body }) => {
        const signature = headers['x-hub-signature-256']?.toString() ?? null;
        if (!url.endsWith('/whatsapp')) expect(headers['unipile-auth']).toBe('u');
        else expect(isSignedByMeta(Buffer.from(raw), signature, 's')).toBe(true);
        return (url.endsWith('/whatsapp') ? readWhatsappWebhook(body) : readUnipileWebhook(body)).receipts;
      })
      .filter(({ status }) => status === 'received');
  return { sandbox, calls, received };
}

const everybody = { shares: [1], delayMs: [1, 10] as Delay };
const names = Array.from({ length: 200 }, (_, index) => `person-${index}`);

describe('a person who gets a message', () => {
  it('over LinkedIn replies, and a webhook reports the reply as the other side’s', async () => {
    const { sandbox, received } = await start({ people: everybody });
    await sendText(sandbox, 'how are you?', 'ann__ada');
    await expect.poll(() => received().length).toBe(1);
    const [delivery] = sandbox.deliveries();
    const [reply] = sandbox.replies();
    const of = { kind: 'message', status: 'received', provider_account_id: 'ann', chat_id: 'ann__ada' };
    const said = { message_id: reply?.id, recipient: 'ada', body: reply?.text, said_at: reply?.at };
    expect(received()).toEqual([{ ...of, ...said }]);
    const linkedin = unipile({ dsn: sandbox.url, apiKey: SANDBOX_API_KEY });
    const chat = { accountId: 'ann', chatId: 'ann__ada', since: '2020-01-01T00:00:00.000Z' };
    const { messages } = await linkedin.listMessages(chat);
    expect(messages).toMatchObject([
      { id: delivery?.id, fromUs: true },
      { id: reply?.id, fromUs: false },
    ]);
  });

  it('over WhatsApp replies, and a signed webhook reports the reply', async () => {
    const { sandbox, received } = await start({ people: everybody });
    await sendWhatsapp(sandbox, 'how are you?', { to: '+49151' });
    await expect.poll(() => received().length).toBe(1);
    const [reply] = sandbox.replies();
    expect(reply).toMatchObject({ provider: 'whatsapp-cloud', account: '1001', recipient: '+49151' });
    // Meta reports whole seconds.
    const said_at = reply?.at.replace(/\d{3}Z$/, '000Z');
    const of = { message_id: reply?.id, provider_account_id: '1001', recipient: '49151' };
    expect(received()).toMatchObject([{ ...of, body: reply?.text, said_at }]);
  });

  it('has each reply reported in the same words until the webhook accepts it, and the log says when it did', async () => {
    const { sandbox, calls } = await start({}, 503, 503);
    const reply = sandbox.write({ provider: 'unipile', account: 'ann', recipient: 'ada' }, 'hello?');
    expect(reply.reported_at).toBeNull();
    await expect.poll(() => sandbox.replies()[0]?.reported_at).toMatch(/^\d{4}-.*Z$/);
    expect(calls).toHaveLength(3);
    expect(new Set(calls.map(({ raw }) => raw)).size).toBe(1);
  });

  it('replies to every message, to every second one or to none, as drawn', async () => {
    const people = { shares: [0.4, 0.3], delayMs: [0, 1] as Delay };
    const patience = (name: string) => patienceOf(1, { provider: 'unipile', recipient: name }, people.shares);
    const drawn = [1, 2, null].map((n) => names.find((name) => patience(name) === n) ?? '');
    const { sandbox } = await start({ people });
    const counts: number[][] = [];
    for (let n = 0; n < 4; n += 1) {
      for (const name of drawn) await sendText(sandbox, `text ${n}`, `ann__${name}`);
      await wait(30);
      counts.push(
        drawn.map((name) => sandbox.replies().filter(({ recipient }) => recipient === name).length),
      );
    }
    expect(counts.join(' ')).toBe('1,0,0 2,1,0 3,1,0 4,2,0');
  });

  it('is drawn by the seed and the address, in the requested shares', () => {
    const patience = (seed: number, recipient: string, provider: 'unipile' | 'whatsapp-cloud' = 'unipile') =>
      patienceOf(seed, { provider, recipient }, [0.5, 0.2]);
    const drawn = (seed: number) => names.map((recipient) => patience(seed, recipient));
    expect(drawn(1)).toEqual(drawn(1));
    expect(drawn(1)).not.toEqual(drawn(2));
    const count = (n: number | null) => drawn(1).filter((one) => one === n).length;
    expect(count(1)).toBeGreaterThan(80);
    expect(count(2)).toBeGreaterThan(20);
    expect(count(null)).toBeGreaterThan(40);
    for (const n of names.keys())
      expect(patience(1, `+49${n}`, 'whatsapp-cloud')).toBe(patience(1, `49${n}`, 'whatsapp-cloud'));
  });

  it('replies only to the named accounts, to none without the option, and not after the sandbox has closed', async () => {
    const { sandbox } = await start({ people: { ...everybody, accounts: ['ann'] } });
    const { sandbox: silent } = await start();
    for (const one of [sandbox, silent])
      for (const account of ['bob', 'ann']) await sendText(one, 'hi', `${account}__ada`);
    const { sandbox: closed } = await start({ people: { shares: [1], delayMs: [500, 500] } });
    await sendText(closed, 'hi', 'ann__ada');
    await closed.close();
    await wait(600);
    expect(sandbox.replies()).toMatchObject([{ account: 'ann' }]);
    expect([...silent.replies(), ...closed.replies()]).toEqual([]);
  });
});

describe('a person who writes first', () => {
  const writing = { provider: 'whatsapp-cloud', account: '1001', recipient: '+49151', text: 'hello?' };

  it('is reported, and may get free text from then on', async () => {
    const { sandbox, received } = await start({ enforceWindow: true });
    const send = async () => (await sendWhatsapp(sandbox, 'hi', { to: '+49151' })).code;
    expect(await send()).toBe(131047);
    expect((await post(sandbox, '/replies', writing)).status).toBe(201);
    await expect.poll(received).toMatchObject([{ recipient: '49151', body: 'hello?' }]);
    expect(await send()).toBeNull();
    expect(sandbox.deliveries()).toHaveLength(1);
  });

  it('may be one of several in a request', async () => {
    const { sandbox, received } = await start();
    const other = { ...writing, provider: 'unipile', account: 'ann', recipient: 'ada' };
    const written = await (await post(sandbox, '/replies', [writing, other])).json();
    expect(written).toMatchObject([{ recipient: '+49151' }, { recipient: 'ada' }]);
    const listed = written.map(({ id }: { id: string }) => ({ id }));
    expect(await read(sandbox, '/replies')).toMatchObject(listed);
    await expect.poll(() => received().length).toBe(2);
  });

  it.each([
    ['an empty body', null],
    ['another provider', { ...writing, provider: 'telegram' }],
    ['an empty text', { ...writing, text: '' }],
    ['one invalid entry of two', [writing, {}]],
  ])('is refused with %s', async (_case, body) => {
    const { sandbox } = await start();
    expect((await post(sandbox, '/replies', body)).status).toBe(400);
    expect(sandbox.replies()).toEqual([]);
  });
});
