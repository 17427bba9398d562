import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unipile } from '../../../lib/providers/unipile/unipile.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { SANDBOX_API_KEY } from '../../../lib/sandbox/shapes/unipile-shape.ts';
import { type Page, providerServer } from '../provider-server.ts';

// tests/providers/codes.test.ts has the errors by their type.
const { net, responding, paging } = providerServer();
let sandbox: Sandbox;

describe.each(['v1', 'v2'] as const)('Unipile %s', (version) => {
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterAll(() => sandbox.close());

  const client = (dsn = sandbox.url) => unipile({ version, dsn, apiKey: SANDBOX_API_KEY });
  /** Returns the value for this version. */
  const as = <T>(v1: T, v2: T): T => (version === 'v1' ? v1 : v2);
  const deliveriesOf = (text: string) => sandbox.deliveries().filter((delivery) => delivery.text === text);
  const toAda = (text: string) => ({ accountId: 'acc_1', chatId: 'acc_1__ada', text });

  describe('a message in a chat', () => {
    it.each([
      ['two\nlines\r\nof\rthree kinds', 'acc_1', 'ada'],
      ['emoji 👩‍👩‍👧 and ümlaut', 'acc_1', 'ada'],
      ['a "quoted" --boundary--\r\n\r\nname', 'acc_1', 'ada'],
      ['to ids that need encoding', 'acc_/1', 'ada?x=#ö'],
    ])(
      'is delivered once and unchanged, and its ids are returned: %j by %s to %s',
      async (text, account, recipient) => {
        const to = `${account}__${recipient}`;
        const { messageId, chatId } = await client().sendMessage({ accountId: account, chatId: to, text });
        expect(chatId).toBe(to);
        expect(deliveriesOf(text)).toMatchObject([{ id: messageId, account, recipient }]);
      },
    );

    it('is refused in a chat of another account', async () => {
      const code = as('errors/invalid_account', 'provider/unprocessable_entity');
      const sending = client().sendMessage({ ...toAda('mixed up'), accountId: 'acc_2' });
      await expect(sending).rejects.toMatchObject({ kind: 'rejected', code });
      expect(deliveriesOf('mixed up')).toHaveLength(0);
    });

    it('goes to the version’s address, with the key, and counts as sent if no id is returned', async () => {
      const { requests, url } = await responding(201, { object: 'MessageSent', message_id: null });
      expect(await client(url).sendMessage(toAda('hi'))).toEqual({ messageId: null, chatId: 'acc_1__ada' });
      expect(requests[0]).toMatch(
        as(
          /^POST \/api\/v1\/chats\/acc_1__ada\/messages HTTP[\s\S]*name="account_id"\r\n\r\nacc_1\r\n/,
          /^POST \/v2\/acc_1\/chats\/acc_1__ada\/messages\/send HTTP[\s\S]*\r\n\r\n\{"text":"hi"\}$/,
        ),
      );
      expect(requests[0]).toMatch(/^x-api-key: sandbox-key\r$/im);
    });
  });

  it('a new chat is started with its first message, and refused if the recipient no longer exists', async () => {
    const started = await client().startChat({ accountId: 'acc_1', recipient: 'bob', text: 'hello bob' });
    expect(started).toEqual({ messageId: deliveriesOf('hello bob')[0]?.id, chatId: 'acc_1__bob' });
    const code = as('errors/invalid_recipient', 'provider/unprocessable_entity');
    const starting = client().startChat({ accountId: 'acc_1', recipient: 'gone-1', text: 'x' });
    await expect(starting).rejects.toMatchObject({ kind: 'rejected', status: 422, code });
  });

  describe('a failure', () => {
    it.each([
      ['[[500]]', 'uncertain', 0],
      ['[[500-after]]', 'uncertain', 1],
      ['[[drop-before]]', 'uncertain', 0],
      ['[[drop-after]]', 'uncertain', 1],
      ['[[html]]', 'uncertain', 0],
      ['[[429:17]]', 'rate_limited', 0],
    ])('%s is %s, delivered %d times', async (text, kind, times) => {
      const retryAfterSeconds = kind === 'rate_limited' ? 17 : null;
      const failure = { kind, provider: 'unipile', retryAfterSeconds };
      await expect(client().sendMessage(toAda(text))).rejects.toMatchObject(failure);
      expect(deliveriesOf(text)).toHaveLength(times);
    });

    it.each(['[[hang]]', '[[trickle]]'])('%s is uncertain when the signal fires', async (text) => {
      const sending = client().sendMessage({ ...toAda(text), signal: AbortSignal.timeout(60) });
      await expect(sending).rejects.toMatchObject({ kind: 'uncertain', code: 'aborted' });
    });

    it.each([['[[limit]]', 'account'], ...as([['[[resend-yet]]', 'pair']], [])])(
      '%s of the sandbox is a rate limit for the %s, and only the first time',
      async (text, scope) => {
        const sending = client().sendMessage(toAda(text));
        await expect(sending).rejects.toMatchObject({ kind: 'rate_limited', scope });
        expect(deliveriesOf(text)).toHaveLength(0);
        await client().sendMessage(toAda(text));
        expect(deliveriesOf(text)).toHaveLength(1);
      },
    );

    it('of our key refuses all accounts', async () => {
      const stranger = unipile({ version, dsn: sandbox.url, apiKey: 'wrong' }).sendMessage(toAda('hi'));
      const code = as('errors/missing_credentials', 'api/missing_authorization');
      await expect(stranger).rejects.toMatchObject({ kind: 'account_refused', code, scope: 'provider' });
    });

    it('to respond in the agreed shape is uncertain', async () => {
      const { url } = await responding(200, { ok: true });
      const unexpected = { kind: 'uncertain', status: 200, code: 'unexpected_answer' };
      await expect(client(url).sendMessage(toAda('hi'))).rejects.toMatchObject(unexpected);
    });

    it('to connect by https, which a DSN without a scheme means, sends nothing', async () => {
      const { host } = new URL(await net.serve(() => {}));
      await net.closeAll();
      const sending = client(host).sendMessage(toAda('hi'));
      await expect(sending).rejects.toMatchObject({ kind: 'not_sent', code: 'ECONNREFUSED' });
    });
  });

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
  const endless = Array.from({ length: 20 }, (_, page) => [item(100 - 2 * page), item(99 - 2 * page)]);

  describe('the messages of a chat', () => {
    /** Lists a chat that has these pages. */
    async function listed(pages: Page[], from = since) {
      const { url, requests } = await paging(version, pages);
      const { messages, complete } = await client(url).listMessages({
        accountId: 'acc_1',
        chatId: 'c/1',
        since: from,
      });
      return { ids: messages.map(({ id }) => id).join(' '), complete, messages, requests };
    }

    it('are listed as they were sent, oldest first', async () => {
      const from = new Date().toISOString();
      const chatId = 'acc_1__list';
      for (const text of ['one', 'two\r\nlines 👋', 'one'])
        await client().sendMessage({ accountId: 'acc_1', chatId, text });
      const sent = sandbox.deliveries().filter(({ recipient }) => recipient === 'list');
      const messages = sent.map(({ id, text, at }) => ({ id, chatId, text, at, fromUs: true }));
      const list = client().listMessages({ accountId: 'acc_1', chatId, since: from });
      expect(await list).toEqual({ complete: true, messages });
    });

    it('are empty in a chat without messages, and refused in one that does not exist', async () => {
      const list = (chatId: string) => client().listMessages({ accountId: 'acc_1', chatId, since });
      expect(await list('acc_1__nobody')).toEqual({ messages: [], complete: true });
      await expect(list('nothing')).rejects.toMatchObject({ kind: 'rejected', status: 404 });
    });

    it('are requested from the instant on, that instant included', async () => {
      const { requests, ids } = await listed([[item(0)]], '2026-11-22 11:00:00.000999+01:00');
      expect(ids).toBe('m0');
      const path = as('/api/v1/chats/c%2F1/messages', '/v2/acc_1/chats/c%2F1/messages');
      expect(requests[0]?.pathname).toBe(path);
      const query = { limit: '100', after: '2026-11-22T09:59:59.999Z' };
      expect(Object.fromEntries(requests[0]?.searchParams ?? [])).toEqual(query);
    });

    const broken = { ids: 'm1', complete: false };
    const said = [
      { text: '', fromUs: false },
      { text: 'text 2', fromUs: true },
    ];
    const last5 = 'm96 m97 m98 m99 m100';
    const whole = { complete: true, requests: { length: 3 } };
    const endlessOnes = { complete: false, messages: { length: 10 }, requests: { length: 5 } };
    it.each<[label: string, pages: Page[], found: object, from?: string]>([
      ['leave out older ones, which Unipile may return', [[item(-1), item(1), item(-2)]], { ids: 'm1' }],
      [
        'come from all pages, each once',
        [[item(1), item(2)], [item(2), item(3)], []],
        { ids: 'm1 m2 m3', ...whole },
      ],
      ['are incomplete if more pages follow than are read', endless, endlessOnes],
      [
        'are complete once pages that come newest first pass the instant',
        endless,
        { ids: last5, ...whole },
        second(96),
      ],
      [
        'are read to the end if they come oldest first',
        [
          [item(-3), item(-2)],
          [item(-1), item(1)],
        ],
        { ids: 'm1', complete: true },
      ],
      ['are read to the end on pages of one, in no known order', [[item(-1)], [item(1)]], { ids: 'm1' }],
      ['are incomplete with one without an instant', [[item(1), item(2, { timestamp: null })]], broken],
      ['are incomplete with one without an id', [[item(1), item(2, { id: null })]], broken],
      ['are incomplete with one without a sender', [[item(1), item(2, { is_sender: null })]], broken],
      ['say who sent them', [[item(1, { is_sender: 0, text: null }), item(2)]], { messages: said }],
    ])('%s', async (_label, pages, found, from) => {
      expect(await listed(pages, from)).toMatchObject(found);
    });

    it('are unknown if the response is not a list, or one page fails, and are abandoned when the signal fires', async () => {
      const list = (url: string, signal?: AbortSignal) =>
        client(url).listMessages({ accountId: 'acc_1', chatId: 'c', since, signal });
      const odd = await responding(200, { object: 'MessageList' });
      await expect(list(odd.url)).rejects.toMatchObject({ code: 'unexpected_answer' });
      const failing = await paging(version, [[item(1)], null]);
      await expect(list(failing.url)).rejects.toMatchObject({ status: 500 });
      const silent = await net.answering(() => {});
      await expect(list(silent, AbortSignal.timeout(50))).rejects.toMatchObject({ code: 'aborted' });
    });
  });

  describe('the chats with a person', () => {
    const list = (attendeeId: string, accountId = 'a1', url?: string) =>
      client(url).listChats({ attendeeId, accountId });

    it('are listed once a message was delivered, each account’s own', async () => {
      expect(await list('dora', 'acc_1')).toEqual([]);
      const { chatId } = await client().startChat({ accountId: 'acc_1', recipient: 'dora', text: 'hi dora' });
      expect(await list('dora', 'acc_1')).toEqual([{ id: chatId }]);
      expect(await list('dora', 'acc_2')).toEqual([]);
    });

    it('are requested at the version’s address', async () => {
      const chat = as<object>({ id: 'c1' }, { chat_id: 'c1' });
      const { requests, url } = await paging(version, [[chat]]);
      expect(await list('ACo/1', 'a1', url)).toEqual([{ id: 'c1' }]);
      const [v1, v2] = [
        '/api/v1/chat_attendees/ACo%2F1/chats?account_id=a1&limit=100',
        '/v2/a1/users/ACo%2F1/chat',
      ];
      expect(requests.map(({ pathname, search }) => pathname + search)).toEqual([as(v1, v2)]);
    });

    it('of another account are left out even if Unipile returns them', async () => {
      const { url } = await paging(version, [
        [{ id: 'c1', account_id: 'a1' }],
        [{ id: 'c2', account_id: 'a2' }, { id: 'c3' }],
      ]);
      expect(await list('p', 'a1', url)).toEqual([{ id: 'c1' }, { id: 'c3' }]);
    });

    it.each([
      [404, '<html>', 'account_refused'],
      [404, { message: 'no such host' }, 'account_refused'],
      [401, { type: as('errors/disconnected_account', 'provider/invalid_authorization') }, 'account_refused'],
      [429, { type: as('errors/too_many_requests', 'api/too_many_requests') }, 'rate_limited'],
      [503, { type: as('errors/service_unavailable', 'provider/server_error') }, 'uncertain'],
      [200, { object: 'ChatList', items: [{ id: null }], data: [{ chat_id: null }] }, 'uncertain'],
    ])('are unknown, not empty, at %d with %j', async (status, body, kind) => {
      const { url } = await responding(status, body);
      await expect(list('p', 'a1', url)).rejects.toMatchObject({ kind });
    });

    it('are unknown if there are more than are read', async () => {
      const { url } = await paging(version, endless);
      const tooMany = { kind: 'uncertain', code: 'too_many_chats' };
      await expect(list('p', 'a1', url)).rejects.toMatchObject(tooMany);
    });
  });

  if (version === 'v2')
    describe('a read of v2', () => {
      const list = (url: string) => client(url).listMessages({ accountId: 'acc_1', chatId: 'c', since });

      it('asks for a response that is not cached, and is uncertain if it gets a cached one all the same', async () => {
        const { requests, url } = await responding(200, { data: [] });
        await list(url);
        expect(requests[0]).toMatch(/^cache-control: no-cache\r$/im);
        const cached = await responding(200, { data: [] }, { 'x-cache': 'HIT' });
        await expect(list(cached.url)).rejects.toMatchObject({ kind: 'uncertain', code: 'cached_answer' });
      });

      it.each([
        ['that is full', { data: Array.from({ length: 100 }, (_, number) => item(number)) }],
        ['that is short of the count', { data: [item(1)], total_count: 2 }],
      ])('gives an incomplete list for a page %s and has no cursor', async (_, body) => {
        expect((await list((await responding(200, body)).url)).complete).toBe(false);
      });

      it('sends only the cursor for the next page', async () => {
        const { requests, url } = await paging('v2', [[item(1)], []]);
        await list(url);
        expect(requests[1]?.search).toBe('?cursor=1');
      });
    });
});
