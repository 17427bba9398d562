import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { unipile } from '../../../lib/providers/unipile/unipile.ts';
import { type Sandbox, startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../sandbox/shapes/unipile-shape.ts';
import { httpAnswer, loopback } from '../../net/loopback.ts';

const net = loopback();
let sandbox: Sandbox;
afterEach(() => net.closeAll());

describe.each(['v1', 'v2'] as const)('Unipile %s', (version) => {
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterAll(() => sandbox.close());

  const client = () => unipile({ version, dsn: sandbox.url, apiKey: SANDBOX_API_KEY });
  /** Returns the value for this version. */
  const as = <T>(v1: T, v2: T): T => (version === 'v1' ? v1 : v2);
  const deliveriesOf = (text: string) => sandbox.deliveries().filter((delivery) => delivery.text === text);

  /** A client of a provider that gives one response to every request, and those requests. */
  async function respondingWith(status: number, body: unknown, headers?: Record<string, string>) {
    const requests: string[] = [];
    const dsn = await net.answering((socket, raw) => {
      requests.push(raw);
      socket.end(httpAnswer(status, typeof body === 'string' ? body : JSON.stringify(body), headers));
    });
    return { requests, client: unipile({ version, dsn, apiKey: 'k' }) };
  }

  const toAda = { accountId: 'acc_1', chatId: 'acc_1__ada', text: 'hi' };

  describe('a message in a chat', () => {
    it('is delivered once, and its ids are returned', async () => {
      const sent = await client().sendMessage({ accountId: 'acc_1', chatId: 'acc_1__ada', text: 'first' });
      expect(sent).toEqual({ messageId: deliveriesOf('first')[0]?.id, chatId: 'acc_1__ada' });
      expect(deliveriesOf('first')).toMatchObject([{ account: 'acc_1', recipient: 'ada' }]);
    });

    it.each([
      'two\nlines\r\nof\rthree kinds',
      'emoji 👩‍👩‍👧 and ümlaut',
      'a "quoted" --boundary--\r\n\r\nname',
    ])('arrives unchanged: %j', async (text) => {
      await client().sendMessage({ accountId: 'acc_1', chatId: 'acc_1__letter', text });
      expect(deliveriesOf(text)).toHaveLength(1);
    });

    it('reaches a chat whose id needs encoding', async () => {
      await client().sendMessage({ accountId: 'acc_/1', chatId: 'acc_/1__ada?x=#ö', text: 'odd id' });
      expect(deliveriesOf('odd id')).toMatchObject([{ account: 'acc_/1', recipient: 'ada?x=#ö' }]);
    });

    it('is refused in a chat of another account', async () => {
      const sending = client().sendMessage({ ...toAda, accountId: 'acc_2', text: 'mixed up' });
      await expect(sending).rejects.toMatchObject({
        kind: 'rejected',
        code: as('errors/invalid_account', 'provider/unprocessable_entity'),
      });
      expect(deliveriesOf('mixed up')).toHaveLength(0);
    });

    it('goes to the version’s address, with the key', async () => {
      const { requests, client } = await respondingWith(201, { object: 'MessageSent', message_id: 'm1' });
      expect(await client.sendMessage(toAda)).toEqual({ messageId: 'm1', chatId: 'acc_1__ada' });
      expect(requests[0]).toMatch(
        as(
          /^POST \/api\/v1\/chats\/acc_1__ada\/messages HTTP[\s\S]*name="account_id"\r\n\r\nacc_1\r\n/,
          /^POST \/v2\/acc_1\/chats\/acc_1__ada\/messages\/send HTTP[\s\S]*\r\n\r\n\{"text":"hi"\}$/,
        ),
      );
      expect(requests[0]).toMatch(/^x-api-key: k\r$/im);
    });

    it('counts as sent if the network returns no id', async () => {
      const { client } = await respondingWith(201, { object: 'MessageSent', message_id: null });
      expect(await client.sendMessage(toAda)).toEqual({ messageId: null, chatId: 'acc_1__ada' });
    });
  });

  describe('a new chat', () => {
    it('is started with its first message', async () => {
      const started = await client().startChat({ accountId: 'acc_1', recipient: 'bob', text: 'hello bob' });
      expect(started).toEqual({ messageId: deliveriesOf('hello bob')[0]?.id, chatId: 'acc_1__bob' });
    });

    it('with a recipient that no longer exists is rejected', async () => {
      const starting = client().startChat({ accountId: 'acc_1', recipient: 'gone-1', text: 'x' });
      await expect(starting).rejects.toMatchObject({
        kind: 'rejected',
        status: 422,
        code: as('errors/invalid_recipient', 'provider/unprocessable_entity'),
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
      const sending = client().sendMessage({ accountId: 'acc_1', chatId: 'acc_1__ada', text });
      await expect(sending).rejects.toMatchObject({ kind, provider: 'unipile' });
      expect(deliveriesOf(text)).toHaveLength(times);
    });

    it.each(['[[hang]]', '[[trickle]]'])('%s is uncertain when the signal fires', async (text) => {
      const signal = AbortSignal.timeout(60);
      const sending = client().sendMessage({ accountId: 'acc_1', chatId: 'acc_1__ada', text, signal });
      await expect(sending).rejects.toMatchObject({ kind: 'uncertain', code: 'aborted' });
    });

    it('by a rate limit says how long to wait', async () => {
      const sending = client().sendMessage({ accountId: 'acc_1', chatId: 'acc_1__ada', text: '[[429:17]]' });
      await expect(sending).rejects.toMatchObject({ kind: 'rate_limited', retryAfterSeconds: 17 });
    });

    if (version === 'v1')
      it.each([
        ['errors/limit_exceeded', 'account', 3_600],
        ['errors/cannot_resend_yet', 'pair', 3_600],
        ['errors/cannot_resend_within_24hrs', 'pair', 86_400],
      ])('%s at 422 is a rate limit for the %s, for %d s', async (type, scope, seconds) => {
        const { client } = await respondingWith(422, {
          status: 422,
          type,
          title: 'Limit',
          detail: 'Too many',
        });
        await expect(client.sendMessage(toAda)).rejects.toMatchObject({
          kind: 'rate_limited',
          scope,
          code: type,
          retryAfterSeconds: seconds,
          message: `unipile answered 422 (${type}): Limit: Too many`,
        });
      });

    it.each([['[[limit]]', 'account'], ...as([['[[resend-yet]]', 'pair']], [])])(
      '%s of the sandbox is a rate limit for the %s, and only the first time',
      async (text, scope) => {
        const sending = client().sendMessage({ accountId: 'acc_1', chatId: 'acc_1__ada', text });
        await expect(sending).rejects.toMatchObject({ kind: 'rate_limited', scope });
        expect(deliveriesOf(text)).toHaveLength(0);
        await client().sendMessage({ accountId: 'acc_1', chatId: 'acc_1__ada', text });
        expect(deliveriesOf(text)).toHaveLength(1);
      },
    );

    it('of a disconnected account refuses that account, and of our key all accounts', async () => {
      const type = as('errors/disconnected_account', 'provider/invalid_authorization');
      const { client } = await respondingWith(401, { status: 401, type });
      const refused = { kind: 'account_refused', code: type, scope: 'account' };
      await expect(client.sendMessage(toAda)).rejects.toMatchObject(refused);
      const stranger = unipile({ version, dsn: sandbox.url, apiKey: 'wrong' });
      const code = as('errors/missing_credentials', 'api/missing_authorization');
      const wrongKey = { kind: 'account_refused', code, scope: 'provider' };
      await expect(stranger.sendMessage(toAda)).rejects.toMatchObject(wrongKey);
    });

    it('to respond in the agreed shape is uncertain', async () => {
      const { client } = await respondingWith(200, { ok: true });
      await expect(client.sendMessage(toAda)).rejects.toMatchObject({
        kind: 'uncertain',
        status: 200,
        code: 'unexpected_answer',
      });
    });

    it('to connect by https, which a DSN without a scheme means, sends nothing', async () => {
      const { host } = new URL(await net.serve(() => {}));
      await net.closeAll();
      const sending = unipile({ version, dsn: host, apiKey: 'k' }).sendMessage(toAda);
      await expect(sending).rejects.toMatchObject({ kind: 'not_sent', code: 'ECONNREFUSED' });
    });
  });

  /** A client of a provider with these pages by cursor (the first by ''), and the URLs that it requested. */
  async function paged(pages: Record<string, { items: unknown[]; cursor?: string | null }>) {
    const requests: URL[] = [];
    const dsn = await net.answering((socket, raw) => {
      const url = new URL(/^GET (\S+) /.exec(raw)?.[1] ?? '/not-a-get', 'http://unipile');
      requests.push(url);
      const page = pages[url.searchParams.get('cursor') ?? ''];
      const fields = page && as<object>(page, { data: page.items, next_cursor: page.cursor });
      socket.end(httpAnswer(page ? 200 : 500, JSON.stringify({ object: 'MessageList', ...fields })));
    });
    return { requests, client: unipile({ version, dsn, apiKey: 'k' }) };
  }

  const since = '2026-11-22T10:00:00.000Z';
  const second = (number: number) => new Date(Date.parse(since) + number * 1_000).toISOString();
  const item = (number: number, more: object = {}) => ({
    object: 'Message',
    id: `m${number}`,
    text: `text ${number}`,
    timestamp: second(number),
    is_sender: 1,
    ...more,
  });
  /** Twenty pages of two messages each, newest first. */
  const endless = Object.fromEntries(
    Array.from({ length: 20 }, (_, page) => [
      page === 0 ? '' : String(page),
      { items: [item(100 - 2 * page), item(99 - 2 * page)], cursor: String(page + 1) },
    ]),
  );

  describe('the messages of a chat', () => {
    it('are listed as they were sent, oldest first', async () => {
      const from = new Date().toISOString();
      for (const text of ['one', 'two\r\nlines 👋', 'one'])
        await client().sendMessage({ accountId: 'acc_1', chatId: 'acc_1__list', text });
      const listed = await client().listMessages({ accountId: 'acc_1', chatId: 'acc_1__list', since: from });
      const sent = sandbox.deliveries().filter(({ recipient }) => recipient === 'list');
      expect(listed).toEqual({
        complete: true,
        messages: sent.map(({ id, text, at }) => ({ id, chatId: 'acc_1__list', text, at, fromUs: true })),
      });
    });

    it('are empty in a chat without messages, and refused in one that does not exist', async () => {
      expect(await client().listMessages({ accountId: 'acc_1', chatId: 'acc_1__nobody', since })).toEqual({
        messages: [],
        complete: true,
      });
      const listing = client().listMessages({ accountId: 'acc_1', chatId: 'nothing', since });
      await expect(listing).rejects.toMatchObject({ kind: 'rejected', status: 404 });
    });

    it('are requested from the instant on, that instant included', async () => {
      const { requests, client } = await paged({ '': { items: [item(0)] } });
      const listed = await client.listMessages({
        accountId: 'acc_1',
        chatId: 'c/1',
        since: '2026-11-22 11:00:00.000999+01:00',
      });
      expect(listed.messages).toHaveLength(1);
      expect(requests[0]?.pathname).toBe(
        as('/api/v1/chats/c%2F1/messages', '/v2/acc_1/chats/c%2F1/messages'),
      );
      expect(Object.fromEntries(requests[0]?.searchParams ?? [])).toEqual({
        limit: '100',
        after: '2026-11-22T09:59:59.999Z',
      });
    });

    it('from before the instant are left out even if Unipile returns them', async () => {
      const { client } = await paged({ '': { items: [item(-1), item(1), item(-2)] } });
      const { messages } = await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
      expect(messages.map(({ id }) => id)).toEqual(['m1']);
    });

    it('come from all pages, each once, whatever their order', async () => {
      const { requests, client } = await paged({
        '': { items: [item(1), item(2)], cursor: 'x' },
        x: { items: [item(2), item(3)], cursor: 'y' },
        y: { items: [], cursor: null },
      });
      const { messages, complete } = await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
      expect(messages.map(({ id }) => id)).toEqual(['m1', 'm2', 'm3']);
      expect({ complete, pages: requests.length }).toEqual({ complete: true, pages: 3 });
    });

    it('are incomplete if there are more pages than are read', async () => {
      const { requests, client } = await paged(endless);
      const { messages, complete } = await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
      expect({ complete, pages: requests.length, count: messages.length }).toEqual({
        complete: false,
        pages: 5,
        count: 10,
      });
    });

    it('are complete as soon as pages that come newest first pass the instant', async () => {
      const { requests, client } = await paged(endless);
      const listed = await client.listMessages({ accountId: 'acc_1', chatId: 'c', since: second(96) });
      expect(listed.messages.map(({ id }) => id)).toEqual(['m96', 'm97', 'm98', 'm99', 'm100']);
      expect({ complete: listed.complete, pages: requests.length }).toEqual({ complete: true, pages: 3 });
    });

    it('that come oldest first are read to the end', async () => {
      const { client } = await paged({
        '': { items: [item(-3), item(-2)], cursor: 'x' },
        x: { items: [item(-1), item(1)], cursor: null },
      });
      const { messages, complete } = await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
      expect(messages.map(({ id }) => id)).toEqual(['m1']);
      expect(complete).toBe(true);
    });

    it('on pages of one, whose order is unknown, are read to the end', async () => {
      const { client } = await paged({
        '': { items: [item(-1)], cursor: 'x' },
        x: { items: [item(1)], cursor: null },
      });
      const { messages } = await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
      expect(messages.map(({ id }) => id)).toEqual(['m1']);
    });

    it.each([
      ['without an instant', { timestamp: null }],
      ['without an id', { id: null }],
      ['that does not say who sent it', { is_sender: null }],
    ])('are incomplete with one %s', async (_, broken) => {
      const { client } = await paged({ '': { items: [item(1), item(2, broken)] } });
      const listed = await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
      expect(listed.messages.map(({ id }) => id)).toEqual(['m1']);
      expect(listed.complete).toBe(false);
    });

    it('say who sent them, and have an empty text if there is none', async () => {
      const { client } = await paged({ '': { items: [item(1, { is_sender: 0, text: null }), item(2)] } });
      const { messages } = await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
      expect(messages).toMatchObject([
        { id: 'm1', text: '', fromUs: false },
        { id: 'm2', text: 'text 2', fromUs: true },
      ]);
    });

    it('are unknown if the response is not a list, or one page fails', async () => {
      const { client: odd } = await respondingWith(200, { object: 'MessageList' });
      const listing = odd.listMessages({ accountId: 'acc_1', chatId: 'c', since });
      await expect(listing).rejects.toMatchObject({ code: 'unexpected_answer' });
      const { client: failing } = await paged({ '': { items: [item(1)], cursor: 'gone' } });
      await expect(failing.listMessages({ accountId: 'acc_1', chatId: 'c', since })).rejects.toMatchObject({
        status: 500,
      });
    });

    it('are abandoned when the signal fires', async () => {
      const dsn = await net.answering(() => {});
      const signal = AbortSignal.timeout(50);
      const listing = unipile({ version, dsn, apiKey: 'k' }).listMessages({
        accountId: 'acc_1',
        chatId: 'c',
        since,
        signal,
      });
      await expect(listing).rejects.toMatchObject({ code: 'aborted' });
    });
  });

  describe('the chats with a person', () => {
    it('are listed once a message was delivered, each account’s own', async () => {
      expect(await client().listChats({ attendeeId: 'dora', accountId: 'acc_1' })).toEqual([]);
      const { chatId } = await client().startChat({ accountId: 'acc_1', recipient: 'dora', text: 'hi dora' });
      expect(await client().listChats({ attendeeId: 'dora', accountId: 'acc_1' })).toEqual([{ id: chatId }]);
      expect(await client().listChats({ attendeeId: 'dora', accountId: 'acc_2' })).toEqual([]);
    });

    it('are requested at the version’s address', async () => {
      const { requests, client } = await paged({
        '': { items: [as<object>({ id: 'c1' }, { chat_id: 'c1' })] },
      });
      expect(await client.listChats({ attendeeId: 'ACo/1', accountId: 'a1' })).toEqual([{ id: 'c1' }]);
      expect(requests[0]?.pathname).toBe(
        as('/api/v1/chat_attendees/ACo%2F1/chats', '/v2/a1/users/ACo%2F1/chat'),
      );
      expect(requests[0]?.search).toBe(as('?account_id=a1&limit=100', ''));
    });

    it('of another account are left out even if Unipile returns them', async () => {
      const { client } = await paged({
        '': { items: [{ id: 'c1', account_id: 'a1' }], cursor: 'x' },
        x: { items: [{ id: 'c2', account_id: 'a2' }, { id: 'c3' }] },
      });
      expect(await client.listChats({ attendeeId: 'p', accountId: 'a1' })).toEqual([
        { id: 'c1' },
        { id: 'c3' },
      ]);
    });

    it.each([
      [404, '<html>', 'account_refused'],
      [404, { message: 'no such host' }, 'account_refused'],
      [401, { type: as('errors/disconnected_account', 'provider/invalid_authorization') }, 'account_refused'],
      [429, { type: as('errors/too_many_requests', 'api/too_many_requests') }, 'rate_limited'],
      [503, { type: as('errors/service_unavailable', 'provider/server_error') }, 'uncertain'],
      [200, { object: 'ChatList', items: [{ id: null }], data: [{ chat_id: null }] }, 'uncertain'],
    ])('are unknown, not empty, at %d with %j', async (status, body, kind) => {
      const { client } = await respondingWith(status, body);
      await expect(client.listChats({ attendeeId: 'p', accountId: 'a1' })).rejects.toMatchObject({ kind });
    });

    it('are unknown if there are more than are read', async () => {
      const { client } = await paged(endless);
      const listing = client.listChats({ attendeeId: 'p', accountId: 'a1' });
      await expect(listing).rejects.toMatchObject({ kind: 'uncertain', code: 'too_many_chats' });
    });
  });

  if (version === 'v2')
    describe('a read of v2', () => {
      it('asks for a response that is not cached', async () => {
        const { requests, client } = await respondingWith(200, { data: [] });
        await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
        expect(requests[0]).toMatch(/^cache-control: no-cache\r$/im);
      });

      it('that gets a cached response all the same is uncertain', async () => {
        const { client } = await respondingWith(200, { data: [] }, { 'x-cache': 'HIT' });
        const listing = client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
        await expect(listing).rejects.toMatchObject({ kind: 'uncertain', code: 'cached_answer' });
      });

      it.each([
        ['that is full', { data: Array.from({ length: 100 }, (_, number) => item(number)) }],
        ['that is short of the count', { data: [item(1)], total_count: 2 }],
      ])('gives an incomplete list for a page %s and has no cursor', async (_, body) => {
        const { client } = await respondingWith(200, body);
        expect((await client.listMessages({ accountId: 'acc_1', chatId: 'c', since })).complete).toBe(false);
      });

      it('sends only the cursor for the next page', async () => {
        const { requests, client } = await paged({ '': { items: [item(1)], cursor: 'x' }, x: { items: [] } });
        await client.listMessages({ accountId: 'acc_1', chatId: 'c', since });
        expect(requests[1]?.search).toBe('?cursor=x');
      });
    });
});
