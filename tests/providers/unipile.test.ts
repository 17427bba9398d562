import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { unipile } from '../../lib/providers/unipile';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox';
import { SANDBOX_API_KEY } from '../../sandbox/unipile-shape';
import { httpAnswer, loopback } from './loopback';

const net = loopback();
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(() => sandbox.close());
afterEach(() => net.closeAll());

const client = () => unipile({ dsn: sandbox.url, apiKey: SANDBOX_API_KEY });
const told = (text: string) => sandbox.deliveries().filter((delivery) => delivery.text === text);

/** A client of a provider that gives one answer to everything, and what it was asked. */
async function answeredBy(status: number, body: unknown, headers?: Record<string, string>) {
  const asked: string[] = [];
  const dsn = await net.answering((socket, raw) => {
    asked.push(raw);
    socket.end(httpAnswer(status, typeof body === 'string' ? body : JSON.stringify(body), headers));
  });
  return { asked, client: unipile({ dsn, apiKey: 'k' }) };
}

const toAda = { chatId: 'acc1__ada', text: 'hi' };

describe('a message in a chat', () => {
  it('is delivered once, and its ids are given back', async () => {
    const sent = await client().sendMessage({ chatId: 'acc1__ada', text: 'first' });
    expect(sent).toEqual({ messageId: told('first')[0]?.id, chatId: 'acc1__ada' });
    expect(told('first')).toMatchObject([{ account: 'acc1', recipient: 'ada' }]);
  });

  it.each([
    'two\nlines\r\nof\rthree kinds',
    'emoji 👩‍👩‍👧 and ümlaut',
    'a "quoted" --boundary--\r\n\r\nname',
  ])('arrives to the letter: %j', async (text) => {
    await client().sendMessage({ chatId: 'acc1__letter', text });
    expect(told(text)).toHaveLength(1);
  });

  it('finds a chat whose id needs encoding', async () => {
    await client().sendMessage({ chatId: 'acc/1__ada?x=#ö', text: 'odd id' });
    expect(told('odd id')).toMatchObject([{ account: 'acc/1', recipient: 'ada?x=#ö' }]);
  });

  it('is refused in a chat of another account than the one named', async () => {
    const sending = client().sendMessage({ chatId: 'acc1__ada', accountId: 'acc2', text: 'mixed up' });
    await expect(sending).rejects.toMatchObject({ kind: 'rejected', code: 'errors/invalid_account' });
    expect(told('mixed up')).toHaveLength(0);
  });

  it('asks the address that Unipile v1 has, with the key', async () => {
    const { asked, client } = await answeredBy(201, { object: 'MessageSent', message_id: 'm1' });
    expect(await client.sendMessage(toAda)).toEqual({ messageId: 'm1', chatId: 'acc1__ada' });
    expect(asked[0]).toMatch(/^POST \/api\/v1\/chats\/acc1__ada\/messages HTTP/);
    expect(asked[0]).toMatch(/^x-api-key: k\r$/im);
  });

  it('counts as sent where the network gave no id', async () => {
    const { client } = await answeredBy(201, { object: 'MessageSent', message_id: null });
    expect(await client.sendMessage(toAda)).toEqual({ messageId: null, chatId: 'acc1__ada' });
  });
});

describe('a new chat', () => {
  it('is started with its first message', async () => {
    const started = await client().startChat({ accountId: 'acc1', recipient: 'bob', text: 'hello bob' });
    expect(started).toEqual({ messageId: told('hello bob')[0]?.id, chatId: 'acc1__bob' });
  });

  it('with a recipient who is gone is rejected', async () => {
    const starting = client().startChat({ accountId: 'acc1', recipient: 'gone-1', text: 'x' });
    await expect(starting).rejects.toMatchObject({
      kind: 'rejected',
      status: 422,
      code: 'errors/invalid_recipient',
    });
  });
});

describe('a failure', () => {
  it.each([
    ['[[500]]', 'uncertain', 0],
    ['[[500-after]]', 'uncertain', 1],
    ['[[drop-before]]', 'uncertain', 0],
    ['[[drop-after]]', 'uncertain', 1],
    ['[[html]]', 'uncertain', 0],
    ['[[429:2]]', 'rate_limited', 0],
  ])('%s is %s, delivered %d times', async (text, kind, times) => {
    const sending = client().sendMessage({ chatId: 'acc1__ada', text });
    await expect(sending).rejects.toMatchObject({ kind, provider: 'unipile' });
    expect(told(text)).toHaveLength(times);
  });

  it.each(['[[hang]]', '[[trickle]]'])('%s is uncertain when the signal fires', async (text) => {
    const signal = AbortSignal.timeout(60);
    const sending = client().sendMessage({ chatId: 'acc1__ada', text, signal });
    await expect(sending).rejects.toMatchObject({ kind: 'uncertain', code: 'aborted' });
  });

  it('of the rate says how long to wait', async () => {
    const sending = client().sendMessage({ chatId: 'acc1__ada', text: '[[429:17]]' });
    await expect(sending).rejects.toMatchObject({ kind: 'rate_limited', retryAfterSeconds: 17 });
  });

  it.each(['errors/cannot_resend_yet', 'errors/limit_exceeded'])(
    '%s at 422 is a rate limit without a known wait',
    async (type) => {
      const { client } = await answeredBy(422, { status: 422, type, title: 'Limit', detail: 'Too many' });
      await expect(client.sendMessage(toAda)).rejects.toMatchObject({
        kind: 'rate_limited',
        code: type,
        retryAfterSeconds: null,
        message: `unipile answered 422 (${type}): Limit: Too many`,
      });
    },
  );

  it('of a disconnected account, or of our key, is unauthorised', async () => {
    const { client } = await answeredBy(401, { status: 401, type: 'errors/disconnected_account' });
    await expect(client.sendMessage(toAda)).rejects.toMatchObject({ kind: 'unauthorised' });
    const stranger = unipile({ dsn: sandbox.url, apiKey: 'wrong' });
    await expect(stranger.sendMessage(toAda)).rejects.toMatchObject({ kind: 'unauthorised' });
  });

  it('to answer in the agreed shape leaves it uncertain', async () => {
    const { client } = await answeredBy(200, { ok: true });
    await expect(client.sendMessage(toAda)).rejects.toMatchObject({
      kind: 'uncertain',
      status: 200,
      code: 'unexpected_answer',
    });
  });

  it('to be reached by https, which a DSN without a scheme means, sends nothing', async () => {
    const { host } = new URL(await net.serve(() => {}));
    await net.closeAll();
    const sending = unipile({ dsn: host, apiKey: 'k' }).sendMessage(toAda);
    await expect(sending).rejects.toMatchObject({ kind: 'not_sent', code: 'ECONNREFUSED' });
  });
});
