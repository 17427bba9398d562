import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { POST as unipile } from '../../../app/api/webhooks/unipile/route.ts';
import { GET as challenge, POST as whatsapp } from '../../../app/api/webhooks/whatsapp/route.ts';
import { tick } from '../../../lib/engine/tick.ts';
import { dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { enrolments } from '../../../lib/queues/sequences/queue.ts';
import type { Services } from '../../../lib/services/services.ts';
import { supabaseRpc } from '../../../lib/store/supabase-rpc.ts';
import { startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../sandbox/shapes/whatsapp-shape.ts';
import { currentServices, openServedDatabase, provideServices } from '../../support/api-server.ts';
import { stepOf } from '../../support/conversations.ts';
import { findText } from '../../support/find-text.ts';
import { realTimePorts } from '../../support/real-time-ports.ts';
import type { TestDatabase } from '../../support/test-database.ts';

const APP_SECRET = 'app-secret-of-meta';
const VERIFY_TOKEN = 'verify-token';
const UNIPILE_SECRET = 'secret-of-unipile';

let database: TestDatabase;
let made: Services;
const servers: Server[] = [];

beforeAll(async () => {
  database = await openServedDatabase();
  made = (await currentServices()) as Services;
});
afterAll(() => database.close());
beforeEach(async () => {
  provideServices(made);
  vi.stubEnv('WHATSAPP_APP_SECRET', APP_SECRET);
  vi.stubEnv('WHATSAPP_VERIFY_TOKEN', VERIFY_TOKEN);
  vi.stubEnv('UNIPILE_WEBHOOK_SECRET', UNIPILE_SECRET);
  await database.sql('delete from punctual.receipts');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** Serves the routes on loopback. Returns the URL. */
async function serve(): Promise<string> {
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const headers = Object.entries(incoming.headers).map(([name, value]): [string, string] => [
      name,
      String(value),
    ]);
    const request = new Request(`http://app.test${incoming.url}`, {
      method: 'POST',
      headers,
      body: Buffer.concat(chunks),
    });
    const response = await (incoming.url === '/api/webhooks/unipile' ? unipile : whatsapp)(request);
    outgoing.writeHead(response.status).end(await response.text());
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const sign = (body: string | Uint8Array, secret = APP_SECRET) =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

function postWhatsapp(
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = { 'x-hub-signature-256': sign(body) },
): Promise<Response> {
  return whatsapp(new Request('http://app.test/api/webhooks/whatsapp', { method: 'POST', headers, body }));
}

const signedByUnipile = (body: string, secret = UNIPILE_SECRET, t = '1795341600') => ({
  'unipile-signature': `t=${t},v0=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`,
});

function postUnipile(
  body: string,
  headers: Record<string, string> = { 'unipile-auth': UNIPILE_SECRET },
): Promise<Response> {
  return unipile(new Request('http://app.test/api/webhooks/unipile', { method: 'POST', headers, body }));
}

const status = (more: object = {}) => ({
  id: 'wamid.1',
  status: 'sent',
  timestamp: '1795341600',
  recipient_id: '4915100000001',
  biz_opaque_callback_data: 'dm_queue/7/0f8e',
  ...more,
});
const whatsappBody = (...statuses: unknown[]) =>
  JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [{ changes: [{ field: 'messages', value: { metadata: { phone_number_id: '1001' }, statuses } }] }],
  });
const unipileBody = (more: object = {}) =>
  JSON.stringify({
    event: 'message_received',
    account_id: 'acc1',
    account_info: { user_id: 'ACoAda' },
    chat_id: 'chat1',
    timestamp: '2026-11-22T10:00:00.123Z',
    message_id: 'm1',
    message: 'Hello',
    sender: { attendee_provider_id: 'ACoAda' },
    attendees: [{ attendee_provider_id: 'ACoBob' }],
    ...more,
  });

/** Adds a message to a chat of the account that webhooks call acc1. */
async function writeTo(chat: string): Promise<void> {
  await database.sql(
    `with account as (
       insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'acc1', 'Ada')
       on conflict (provider, provider_account_id) do update set name = excluded.name returning id)
     insert into punctual.dm_queue (account_id, channel, chat_id, body) select id, 'linkedin', $1, 'hi' from account`,
    [chat],
  );
}

const stored = () =>
  database.sql(
    `select provider, kind, status, message_id, reference, provider_account_id, chat_id, recipient, body, error, said_at
       from punctual.receipts order by id`,
  );
const readResponse = async (response: Response) => ({ status: response.status, ...(await response.json()) });

const messageNew = {
  id: 'evt_2',
  created_at: '2026-11-22T10:00:01.000Z',
  account_id: 'acc_1',
  type: 'message.new',
  payload: {
    object: 'Message',
    id: 'm2',
    chat_id: 'chat1',
    text: 'Hello',
    timestamp: '2026-11-22T10:00:00.123Z',
    is_sender: false,
    is_event: false,
    sender_id: 'ACoBob',
  },
};

describe('a WhatsApp webhook', () => {
  it('is stored as one receipt per status, and nothing else is', async () => {
    const response = await postWhatsapp(whatsappBody(status(), status({ status: 'delivered' })));
    expect(await readResponse(response)).toEqual({ status: 200, received: 2, new: 2, ignored: 0 });
    expect(await stored()).toMatchObject([
      { status: 'delivered' },
      {
        provider: 'whatsapp_cloud',
        kind: 'status',
        status: 'sent',
        message_id: 'wamid.1',
        reference: 'dm_queue/7/0f8e',
        provider_account_id: 1001,
        recipient: 4915100000001,
        body: null,
        error: null,
      },
    ]);
    expect(Date.parse((await stored())[0].said_at)).toBe(Date.parse('2026-11-22T10:00:00Z'));
  });

  it('that brings a status twice, in one call or two, is stored once', async () => {
    const body = whatsappBody(status(), status());
    expect(await readResponse(await postWhatsapp(body))).toMatchObject({ received: 2, new: 1 });
    expect(await readResponse(await postWhatsapp(body))).toMatchObject({ status: 200, received: 2, new: 0 });
    expect(await stored()).toHaveLength(1);
  });

  it('with 1,201 statuses is stored in batches of 100', async () => {
    const sizes: number[] = [];
    const rpc: typeof made.rpc = (fn, args) => {
      sizes.push((args.p_receipts as unknown[]).length);
      return made.rpc(fn, args);
    };
    provideServices({ ...made, rpc });
    const many = Array.from({ length: 1_201 }, (_, n) => status({ id: `wamid.${n}` }));
    expect(await readResponse(await postWhatsapp(whatsappBody(...many)))).toMatchObject({
      received: 1_201,
      new: 1_201,
    });
    expect(sizes).toEqual([...Array.from({ length: 12 }, () => 100), 1]);
    expect(await stored()).toHaveLength(1_201);
  });

  it('is stored in halves if the database cancels a call that takes too long', async () => {
    const sizes: number[] = [];
    const rpc: typeof made.rpc = (fn, args) => {
      const { length } = args.p_receipts as unknown[];
      sizes.push(length);
      if (length <= 30) return made.rpc(fn, args);
      // Not an instance of our `StoreError`: in a build, a route may meet the class of another bundle.
      throw Object.assign(new Error('canceling statement'), { name: 'StoreError', code: '57014' });
    };
    provideServices({ ...made, rpc });
    const many = Array.from({ length: 60 }, (_, n) => status({ id: `wamid.${n}` }));
    expect(await readResponse(await postWhatsapp(whatsappBody(...many)))).toMatchObject({
      received: 60,
      new: 60,
    });
    expect(sizes).toEqual([60, 30, 30]);
  });

  it('that comes 100 times at once is stored once', async () => {
    const body = whatsappBody(...Array.from({ length: 20 }, (_, n) => status({ id: `wamid.${n}` })));
    const responses = await Promise.all(
      Array.from({ length: 100 }, () => postWhatsapp(body).then(readResponse)),
    );
    expect(responses.every((one) => one.status === 200)).toBe(true);
    expect(responses.reduce((sum, one) => sum + one.new, 0)).toBe(20);
    expect(await stored()).toHaveLength(20);
  });

  it('is stored by its valid entries, and the junk among them is ignored', async () => {
    const body = whatsappBody(null, 'junk', status({ status: 'played' }), status(), { id: 7 });
    expect(await readResponse(await postWhatsapp(body))).toEqual({
      status: 200,
      received: 1,
      new: 1,
      ignored: 4,
    });
  });

  it('is stored without the characters that Postgres cannot hold', async () => {
    const body = whatsappBody(
      status({ id: 'wamid\0.1', biz_opaque_callback_data: 'a\0b\ud83d' }),
      status({ id: '\0' }),
    );
    expect(await readResponse(await postWhatsapp(body))).toEqual({
      status: 200,
      received: 1,
      new: 1,
      ignored: 1,
    });
    expect(await stored()).toMatchObject([{ message_id: 'wamid.1', reference: 'ab\ufffd' }]);
  });

  it('about another kind of object is accepted and ignored', async () => {
    expect(await readResponse(await postWhatsapp('{"object":"page"}'))).toEqual({
      status: 200,
      received: 0,
      new: 0,
      ignored: 1,
    });
  });
});

describe('a WhatsApp signature', () => {
  const body = whatsappBody(status());
  it.each<[label: string, headers: Record<string, string>]>([
    ['missing', {}],
    ['empty', { 'x-hub-signature-256': '' }],
    ['made with another secret', { 'x-hub-signature-256': sign(body, 'guess') }],
    ['made over another body', { 'x-hub-signature-256': sign(`${body} `) }],
    ['in Unipile’s header', { 'unipile-auth': APP_SECRET }],
    ['the secret itself', { 'x-hub-signature-256': `sha256=${APP_SECRET}` }],
  ])('that is %s is refused, and nothing is stored', async (_label, headers) => {
    const { status, error } = await readResponse(await postWhatsapp(body, headers));
    expect({ status, kind: error.kind }).toEqual({ status: 401, kind: 'unauthorised' });
    expect(JSON.stringify(error)).not.toContain(APP_SECRET);
    expect(await stored()).toEqual([]);
  });

  it('is refused if the body changed on the way', async () => {
    const changed = body.replace('wamid.1', 'wamid.2');
    expect((await postWhatsapp(changed, { 'x-hub-signature-256': sign(body) })).status).toBe(401);
    expect(await stored()).toEqual([]);
  });

  it('covers the bytes, so the JSON may have any format', async () => {
    const spaced = JSON.stringify(JSON.parse(body), null, 2);
    expect((await postWhatsapp(spaced)).status).toBe(200);
  });
});

describe('a Unipile webhook', () => {
  it('is stored once, however often it comes', async () => {
    expect(await readResponse(await postUnipile(unipileBody()))).toEqual({
      status: 200,
      received: 1,
      new: 1,
      ignored: 0,
    });
    expect(await readResponse(await postUnipile(unipileBody()))).toMatchObject({ status: 200, new: 0 });
    expect(await stored()).toMatchObject([
      {
        provider: 'unipile',
        kind: 'message',
        status: 'sent',
        message_id: 'm1',
        reference: null,
        provider_account_id: 'acc1',
        chat_id: 'chat1',
        recipient: 'ACoBob',
        body: null,
      },
    ]);
  });

  it('leaves no text of a third person in the database, only of people whom we write to', async () => {
    const inChat = (message: string, more: object = {}) =>
      postUnipile(
        unipileBody({
          message,
          message_id: `id-${message.length}`,
          sender: { attendee_provider_id: 'ACoBob' },
          ...more,
        }),
      );
    await writeTo('chat1');
    await inChat('Bandicoot-ours');
    await inChat('Bandicoot-private', { chat_id: 'chat2' });
    await inChat('Bandicoot-elsewhere', { account_id: 'acc2' });
    await database.sql("update punctual.dm_queue set recipient = 'ACoBob'");
    await inChat('Bandicoot-of-a-group', { chat_id: 'chat3', is_group: true });
    await inChat('Bandicoot-in-our-group', { is_group: true });
    expect(await findText(database, 'Bandicoot-in-our-group')).toEqual(['receipts.body']);
    expect(await findText(database, 'chat2')).toEqual(['receipts.chat_id']);
    expect(await findText(database, 'Bandicoot-ours')).toEqual(['receipts.body']);
    for (const text of ['Bandicoot-private', 'Bandicoot-elsewhere', 'Bandicoot-of-a-group']) {
      expect(await findText(database, text), text).toEqual([]);
    }
  });

  it('about other events is accepted and ignored', async () => {
    const response = await postUnipile(unipileBody({ event: 'message_reaction' }));
    expect(await readResponse(response)).toEqual({ status: 200, received: 0, new: 0, ignored: 1 });
  });

  it('of v2 is stored if its signature is right', async () => {
    const body = JSON.stringify(messageNew);
    expect(await readResponse(await postUnipile(body, signedByUnipile(body)))).toMatchObject({
      status: 200,
      new: 1,
    });
    expect(await stored()).toMatchObject([{ kind: 'message', status: 'received', message_id: 'm2' }]);
  });

  it.each<[label: string, headers: Record<string, string>]>([
    ['made with another secret', signedByUnipile(JSON.stringify(messageNew), 'guess')],
    ['made over another body', signedByUnipile('{}')],
    ['without a time', { 'unipile-signature': 'v0=00' }],
    ['that is empty', { 'unipile-signature': '' }],
    [
      'with a time that was not signed',
      {
        'unipile-signature': signedByUnipile(JSON.stringify(messageNew))['unipile-signature'].replace(
          't=1',
          't=2',
        ),
      },
    ],
    [
      'that is wrong, beside the right header of v1',
      { 'unipile-signature': 't=1,v0=00', 'unipile-auth': UNIPILE_SECRET },
    ],
  ])('with a signature %s is refused', async (_label, headers) => {
    expect((await postUnipile(JSON.stringify(messageNew), headers)).status).toBe(401);
    expect(await stored()).toEqual([]);
  });

  describe('about an account', () => {
    const paused = async () =>
      (await database.sql('select paused_until > now() as paused, paused_reason from punctual.accounts'))[0];
    beforeEach(async () => {
      await database.reset();
      await database.sql(
        `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'acc1', 'Ann')`,
      );
    });
    const post = async (webhook: object) => {
      const body = JSON.stringify(webhook);
      return readResponse(await postUnipile(body, signedByUnipile(body)));
    };
    const v1 = (message: string, account_id = 'acc1') => ({
      AccountStatus: { account_id, account_type: 'LINKEDIN', message },
    });
    const v2 = (type: string, timestamp: string, account_id = 'acc1') => ({
      id: 'evt_1',
      created_at: '2026-11-22T10:00:00.000Z',
      account_id,
      type,
      payload: { timestamp },
    });

    it('of v1 pauses it with the reason, and resumes it', async () => {
      const body = JSON.stringify(v1('CREDENTIALS'));
      expect(await readResponse(await postUnipile(body))).toEqual({
        status: 200,
        received: 1,
        new: 1,
        ignored: 0,
      });
      expect(await paused()).toMatchObject({
        paused: true,
        paused_reason: expect.stringContaining('(CREDENTIALS)'),
      });
      expect(await post(v1('CREDENTIALS'))).toMatchObject({ status: 200, new: 0 });
      expect(await post(v1('OK'))).toMatchObject({ new: 1 });
      expect(await paused()).toEqual({ paused: null, paused_reason: null });
    });

    it('of v2 counts in the order of the events', async () => {
      await post(v2('account.status.disconnected', '2026-11-22T10:00:02.000Z'));
      expect(await post(v2('account.status.running', '2026-11-22T10:00:01.000Z'))).toMatchObject({ new: 0 });
      expect(await paused()).toMatchObject({
        paused: true,
        paused_reason: expect.stringContaining('(disconnected)'),
      });
      expect(await post(v2('account.status.running', '2026-11-22T10:00:03.000Z'))).toMatchObject({ new: 1 });
      expect(await paused()).toMatchObject({ paused: null });
    });

    it.each(['v1', 'v2'] as const)('works as the sandbox sends it in %s', async (version) => {
      const url = `${await serve()}/api/webhooks/unipile`;
      const webhooks = {
        unipile: { url, secret: UNIPILE_SECRET, version },
        delayMs: [1, 10] as [number, number],
      };
      const sandbox = await startSandbox({ webhooks });
      const disconnect = (disconnected: string[]) =>
        fetch(`${sandbox.url}/faults`, { method: 'POST', body: JSON.stringify({ disconnected }) });
      try {
        await disconnect(['acc1']);
        await expect.poll(paused, { timeout: 20_000 }).toMatchObject({ paused: true });
        await disconnect([]);
        await expect.poll(paused, { timeout: 20_000 }).toMatchObject({ paused: null });
        // Only texts of people whom we write to are stored.
        await database.sql(
          `insert into punctual.dm_queue (account_id, channel, chat_id, body) select id, 'linkedin', 'acc1__ada', 'Hi' from punctual.accounts`,
        );
        sandbox.write({ provider: 'unipile', account: 'acc1', recipient: 'ada' }, 'hello');
        await expect
          .poll(stored, { timeout: 20_000 })
          .toMatchObject([{ status: 'received', recipient: 'ada', chat_id: 'acc1__ada', body: 'hello' }]);
      } finally {
        await sandbox.close();
      }
    });

    it('that a call found disconnected resumes it, in the version of the call', async () => {
      const replies: [number, object][] = [
        [401, { type: 'errors/disconnected_account' }],
        [201, { object: 'MessageSent', message_id: null }],
      ];
      const provider = createServer((_request, response) => {
        const [code, body] = replies.shift() ?? [500, {}];
        response.writeHead(code).end(JSON.stringify(body));
      });
      servers.push(provider);
      await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
      const dsn = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
      await database.sql(
        `insert into punctual.dm_queue (account_id, channel, chat_id, body) select id, 'linkedin', 'c1', 'Hi' from punctual.accounts`,
      );
      const deps = dmQueue.connect({ unipile: { dsn, apiKey: 'k' } });
      const run = () =>
        tick(dmQueue, realTimePorts(database.rpc), { limitMs: 60_000, scheduler: 'test', deps });
      const states = async () =>
        (await database.sql('select status from punctual.dm_queue')).map((row) => row.status);
      await run();
      await run();
      expect([await states(), await paused(), replies.length]).toMatchObject([
        ['pending'],
        { paused: true },
        1,
      ]);
      await post(v1('RECONNECTED'));
      await run();
      expect(await states()).toEqual(['sent']);
      await database.sql('delete from punctual.dm_queue');
    });

    it.each([v1('CREDENTIALS', 'stranger'), v1('TELEPORTED'), v2('account.status.teleported', '')])(
      'changes nothing if the account or the status is unknown: %j',
      async (webhook) => {
        expect(await post(webhook)).toMatchObject({ status: 200, new: 0 });
        expect(await paused()).toMatchObject({ paused: null });
      },
    );
  });

  it.each<[label: string, headers: Record<string, string>]>([
    ['without the secret', {}],
    ['with an empty secret', { 'unipile-auth': '' }],
    ['with another secret', { 'unipile-auth': 'guess' }],
    ['with the secret and one more character', { 'unipile-auth': `${UNIPILE_SECRET}x` }],
    ['with the secret as a bearer token', { authorization: `Bearer ${UNIPILE_SECRET}` }],
  ])('%s is refused', async (_label, headers) => {
    const { status, error } = await readResponse(await postUnipile(unipileBody(), headers));
    expect({ status, kind: error.kind }).toEqual({ status: 401, kind: 'unauthorised' });
    expect(await stored()).toEqual([]);
  });
});

describe('a webhook', () => {
  it.each(['', ' ', undefined])(
    'answers 503 while its secret is %j, and names the variable to set',
    async (value) => {
      vi.stubEnv('WHATSAPP_APP_SECRET', value);
      vi.stubEnv('UNIPILE_WEBHOOK_SECRET', value);
      const guess = value ?? '';
      const body = whatsappBody(status());
      const calls: [string, Promise<Response>][] = [
        ['WHATSAPP_APP_SECRET', postWhatsapp(body, { 'x-hub-signature-256': sign(body, guess) })],
        ['UNIPILE_WEBHOOK_SECRET', postUnipile(unipileBody(), { 'unipile-auth': guess })],
      ];
      for (const [variable, call] of calls) {
        const { status, error } = await readResponse(await call);
        expect(status).toBe(503);
        expect(error).toMatchObject({ kind: 'not_configured', variables: [variable] });
      }
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
    const { status, error } = await readResponse(await postWhatsapp(body));
    expect({ status, kind: error.kind }).toEqual({ status: 400, kind: 'invalid_json' });
  });

  it('above 3 MB is refused by its bytes, whatever length it claims, even if it is unsigned', async () => {
    let pulled = 0;
    const chunk = new Uint8Array(256 * 1024).fill(0x20);
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(chunk);
      },
    });
    const request = new Request('http://app.test/api/webhooks/whatsapp', {
      method: 'POST',
      headers: { 'content-length': '10' },
      body,
      duplex: 'half',
    } as RequestInit);
    const { status, error } = await readResponse(await whatsapp(request));
    expect({ status, kind: error.kind }).toEqual({ status: 413, kind: 'too_large' });
    expect(pulled).toBeLessThan(20);
  });

  it('of 3 MB, the largest that Meta sends, is read', async () => {
    const body = whatsappBody(status()).padEnd(3 * 1024 * 1024, ' ');
    expect(await readResponse(await postWhatsapp(body))).toMatchObject({ status: 200, new: 1 });
  });

  it('that breaks off answers 400', async () => {
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error('the client has gone'));
      },
    });
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
    const response = await whatsapp(new Request('http://app.test/api/webhooks/whatsapp', init));
    expect(response.status).toBe(400);
  });

  it('answers 503 with Retry-After while the database is unreachable', async () => {
    const unreachable = supabaseRpc({ url: 'http://127.0.0.1:1', serviceRoleKey: 'key' });
    provideServices({ ...made, rpc: unreachable });
    for (const call of [postWhatsapp(whatsappBody(status())), postUnipile(unipileBody())]) {
      const response = await call;
      expect(response.status).toBe(503);
      expect(response.headers.get('retry-after')).toBe('5');
      expect((await response.json()).error.kind).toBe('database_unavailable');
    }
    provideServices(made);
    expect(await readResponse(await postUnipile(unipileBody()))).toMatchObject({ status: 200, new: 1 });
  });
});

describe('Meta’s verification request', () => {
  const verify = (query: Record<string, string>) =>
    challenge(new Request(`http://app.test/api/webhooks/whatsapp?${new URLSearchParams(query)}`));
  const right = { 'hub.mode': 'subscribe', 'hub.verify_token': VERIFY_TOKEN, 'hub.challenge': '1158201444' };

  it('gets the challenge back as plain text', async () => {
    const response = await verify(right);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('1158201444');
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each<[label: string, changes: Record<string, string>, status: number]>([
    ['another token', { 'hub.verify_token': 'guess' }, 401],
    ['an empty token', { 'hub.verify_token': '' }, 401],
    ['another mode', { 'hub.mode': 'unsubscribe' }, 400],
  ])('with %s is refused', async (_label, changes, status) => {
    const response = await verify({ ...right, ...changes });
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain('1158201444');
  });

  it('without parameters is refused', async () => {
    expect((await verify({})).status).toBe(401);
    expect((await verify({ 'hub.mode': 'subscribe', 'hub.verify_token': VERIFY_TOKEN })).status).toBe(400);
  });

  it('answers 503 while the token is not set, and names the variable to set', async () => {
    vi.stubEnv('WHATSAPP_VERIFY_TOKEN', '');
    const { status, error } = await readResponse(await verify({ ...right, 'hub.verify_token': '' }));
    expect(status).toBe(503);
    expect(error).toMatchObject({ kind: 'not_configured', variables: ['WHATSAPP_VERIFY_TOKEN'] });
  });
});

describe('the sandbox’s webhooks', () => {
  it('are accepted by the routes over real HTTP, signed and with the reference', async () => {
    const app = await serve();
    const sandbox = await startSandbox({
      webhooks: {
        whatsapp: { url: `${app}/api/webhooks/whatsapp`, appSecret: APP_SECRET },
        unipile: { url: `${app}/api/webhooks/unipile`, secret: UNIPILE_SECRET },
        delayMs: [1, 10],
      },
    });
    try {
      await fetch(`${sandbox.url}/v23.0/ph-1/messages`, {
        method: 'POST',
        headers: { authorization: 'Bearer sandbox-token' },
        body: JSON.stringify({
          messaging_product: 'whatsapp',
          to: '+4915100000001',
          type: 'text',
          text: { body: 'hi' },
          biz_opaque_callback_data: 'dm_queue/7/0f8e',
        }),
      });
      await writeTo('acc1__bob');
      const form = new FormData();
      form.append('text', 'hello Bob 👋');
      const headers = { 'x-api-key': 'sandbox-key' };
      await fetch(`${sandbox.url}/api/v1/chats/acc1__bob/messages`, { method: 'POST', headers, body: form });
      await expect.poll(async () => (await stored()).length).toBe(3);
      const [byWhatsapp, byUnipile] = sandbox.deliveries();
      const receipts = await stored();
      // Each webhook has its own delay, so they arrive in any order.
      const whatsapp = receipts.filter((receipt) => receipt.provider === 'whatsapp_cloud');
      expect(whatsapp.sort((a, b) => a.status.localeCompare(b.status))).toMatchObject(
        ['delivered', 'sent'].map((word) => ({
          status: word,
          message_id: byWhatsapp?.id,
          reference: 'dm_queue/7/0f8e',
          provider_account_id: 'ph-1',
        })),
      );
      expect(receipts.find((receipt) => receipt.provider === 'unipile')).toMatchObject({
        kind: 'message',
        status: 'sent',
        message_id: byUnipile?.id,
        provider_account_id: 'acc1',
        chat_id: 'acc1__bob',
        recipient: 'bob',
        body: 'hello Bob 👋',
      });
    } finally {
      await sandbox.close();
    }
  });

  it('stop the sequence of a person who hides the number, from the first reply', async () => {
    const app = await serve();
    const whatsapp = { url: `${app}/api/webhooks/whatsapp`, appSecret: APP_SECRET };
    const sandbox = await startSandbox({ enforceWindow: true, webhooks: { whatsapp, delayMs: [1, 10] } });
    const [account] = await database.sql(
      `insert into punctual.accounts (provider, provider_account_id, name) values ('whatsapp_cloud', 'ph-1', 'Help') returning id`,
    );
    const template = { name: 'welcome', language: 'en', parameters: [] };
    const steps = [stepOf({ body: 'one', template }), stepOf({ body: 'two', template })];
    const p_sequence = { name: 'hidden', channel: 'whatsapp', time_zone: null, steps };
    const { id } = (await database.rpc('create_sequence', { p_sequence })) as { id: string };
    const p_people = [{ account_id: account.id, recipient: '+49 151 1' }];
    await database.rpc('enrol_people', { p_sequence_id: id, p_people });
    const connection = { accessToken: SANDBOX_ACCESS_TOKEN, apiVersion: 'v23.0', baseUrl: sandbox.url };
    const deps = dmQueue.connect({ whatsappCloud: { ...connection, knowsReplies: true } });
    const options = { limitMs: 60_000, scheduler: 'test' };
    const tickBothQueues = async () => {
      await tick(enrolments, realTimePorts(database.rpc), { ...options, deps: null });
      await tick(dmQueue, realTimePorts(database.rpc), { ...options, deps });
    };
    try {
      await tickBothQueues();
      await expect.poll(async () => (await stored()).length).toBe(2);
      const chat = { provider: 'whatsapp-cloud', account: 'ph-1', recipient: 'US.9115194' } as const;
      sandbox.write(chat, 'stop');
      await expect
        .poll(() => database.sql('select phase, last_reply from punctual.enrolments'))
        .toEqual([{ phase: 'replied', last_reply: 'stop' }]);
      await tickBothQueues();
      expect(sandbox.deliveries()).toHaveLength(1);
    } finally {
      await sandbox.close();
    }
  });
});
