import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { POST as unipile } from '../../../app/api/webhooks/unipile/route.ts';
import { GET as challenge, POST as whatsapp } from '../../../app/api/webhooks/whatsapp/route.ts';
import { tick } from '../../../lib/engine/tick.ts';
import { dmQueue } from '../../../lib/queues/dm-queue/queue.ts';
import { enrolments } from '../../../lib/queues/sequences/queue.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { makeServices, type Services } from '../../../lib/services/services.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { supabaseRpc } from '../../../lib/store/supabase-rpc.ts';
import { startSandbox } from '../../../sandbox/sandbox.ts';
import { SANDBOX_ACCESS_TOKEN } from '../../../sandbox/shapes/whatsapp-shape.ts';
import { provideServices } from '../../support/api-server.ts';
import { stepOf } from '../../support/conversations.ts';
import { findText } from '../../support/find-text.ts';
import { realTimePorts } from '../../support/real-time-ports.ts';
import { openTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const APP_SECRET = 'app-secret-of-meta';
const VERIFY_TOKEN = 'verify-token';
const UNIPILE_SECRET = 'secret-of-unipile';

let database: TestDatabase;
let made: Services;
const servers: Server[] = [];

beforeAll(async () => {
  database = await openTestDatabase();
  const container = await makeServices(
    serverEnv({ SUPABASE_URL: 'http://127.0.0.1', SUPABASE_SERVICE_ROLE_KEY: 'key', LOG_LEVEL: 'fatal' }),
  );
  made = { ...container, rpc: database.rpc, ports: { ...container.ports, store: queueStore(database.rpc) } };
});
afterAll(async () => {
  provideServices(null);
  await database.close();
});
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

/** The routes as they are, behind a server on loopback. */
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

function tellWhatsapp(
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = { 'x-hub-signature-256': sign(body) },
): Promise<Response> {
  return whatsapp(new Request('http://app.test/api/webhooks/whatsapp', { method: 'POST', headers, body }));
}

const signedByUnipile = (body: string, secret = UNIPILE_SECRET, t = '1795341600') => ({
  'unipile-signature': `t=${t},v0=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`,
});

function tellUnipile(
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
const ofWhatsapp = (...statuses: unknown[]) =>
  JSON.stringify({
    object: 'whatsapp_business_account',
    entry: [{ changes: [{ field: 'messages', value: { metadata: { phone_number_id: '1001' }, statuses } }] }],
  });
const ofUnipile = (more: object = {}) =>
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

/** A message to a chat of the account that webhooks tell of as acc1. */
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
const answer = async (response: Response) => ({ status: response.status, ...(await response.json()) });

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

describe('what WhatsApp tells', () => {
  it('is written down, and nothing else', async () => {
    const response = await tellWhatsapp(ofWhatsapp(status(), status({ status: 'delivered' })));
    expect(await answer(response)).toEqual({ status: 200, received: 2, new: 2, ignored: 0 });
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

  it('twice, in one call or two, is written down once', async () => {
    const body = ofWhatsapp(status(), status());
    expect(await answer(await tellWhatsapp(body))).toMatchObject({ received: 2, new: 1 });
    expect(await answer(await tellWhatsapp(body))).toMatchObject({ status: 200, received: 2, new: 0 });
    expect(await stored()).toHaveLength(1);
  });

  it('by the thousand is written down a hundred at a time', async () => {
    const sizes: number[] = [];
    const rpc: typeof made.rpc = (fn, args) => {
      sizes.push((args.p_receipts as unknown[]).length);
      return made.rpc(fn, args);
    };
    provideServices({ ...made, rpc });
    const many = Array.from({ length: 1_201 }, (_, n) => status({ id: `wamid.${n}` }));
    expect(await answer(await tellWhatsapp(ofWhatsapp(...many)))).toMatchObject({
      received: 1_201,
      new: 1_201,
    });
    expect(sizes).toEqual([...Array.from({ length: 12 }, () => 100), 1]);
    expect(await stored()).toHaveLength(1_201);
  });

  it('is written down in halves where the database ends what took too long', async () => {
    const sizes: number[] = [];
    const rpc: typeof made.rpc = (fn, args) => {
      const { length } = args.p_receipts as unknown[];
      sizes.push(length);
      if (length <= 30) return made.rpc(fn, args);
      // Of another bundle's class, as the routes of a build meet it.
      throw Object.assign(new Error('canceling statement'), { name: 'StoreError', code: '57014' });
    };
    provideServices({ ...made, rpc });
    const many = Array.from({ length: 60 }, (_, n) => status({ id: `wamid.${n}` }));
    expect(await answer(await tellWhatsapp(ofWhatsapp(...many)))).toMatchObject({ received: 60, new: 60 });
    expect(sizes).toEqual([60, 30, 30]);
  });

  it('a hundred times at once is written down once', async () => {
    const body = ofWhatsapp(...Array.from({ length: 20 }, (_, n) => status({ id: `wamid.${n}` })));
    const answers = await Promise.all(Array.from({ length: 100 }, () => tellWhatsapp(body).then(answer)));
    expect(answers.every((one) => one.status === 200)).toBe(true);
    expect(answers.reduce((sum, one) => sum + one.new, 0)).toBe(20);
    expect(await stored()).toHaveLength(20);
  });

  it('in good entries is not lost to the junk among them', async () => {
    const body = ofWhatsapp(null, 'junk', status({ status: 'played' }), status(), { id: 7 });
    expect(await answer(await tellWhatsapp(body))).toEqual({ status: 200, received: 1, new: 1, ignored: 4 });
  });

  it('in characters that no database holds is written down without them', async () => {
    const body = ofWhatsapp(
      status({ id: 'wamid\0.1', biz_opaque_callback_data: 'a\0b\ud83d' }),
      status({ id: '\0' }),
    );
    expect(await answer(await tellWhatsapp(body))).toEqual({ status: 200, received: 1, new: 1, ignored: 1 });
    expect(await stored()).toMatchObject([{ message_id: 'wamid.1', reference: 'ab\ufffd' }]);
  });

  it('of nothing that is ours is taken and ignored', async () => {
    expect(await answer(await tellWhatsapp('{"object":"page"}'))).toEqual({
      status: 200,
      received: 0,
      new: 0,
      ignored: 1,
    });
  });
});

describe('a signature', () => {
  const body = ofWhatsapp(status());
  it.each<[what: string, headers: Record<string, string>]>([
    ['missing', {}],
    ['empty', { 'x-hub-signature-256': '' }],
    ['of another secret', { 'x-hub-signature-256': sign(body, 'guess') }],
    ['of another body', { 'x-hub-signature-256': sign(`${body} `) }],
    ['of Unipile', { 'unipile-auth': APP_SECRET }],
    ['with the secret itself', { 'x-hub-signature-256': `sha256=${APP_SECRET}` }],
  ])('that is %s lets nothing in', async (_, headers) => {
    const { status, error } = await answer(await tellWhatsapp(body, headers));
    expect({ status, kind: error.kind }).toEqual({ status: 401, kind: 'unauthorised' });
    expect(JSON.stringify(error)).not.toContain(APP_SECRET);
    expect(await stored()).toEqual([]);
  });

  it('over bytes that were changed on the way lets nothing in', async () => {
    const changed = body.replace('wamid.1', 'wamid.2');
    expect((await tellWhatsapp(changed, { 'x-hub-signature-256': sign(body) })).status).toBe(401);
    expect(await stored()).toEqual([]);
  });

  it('is that of the bytes, however the JSON is written', async () => {
    const spaced = JSON.stringify(JSON.parse(body), null, 2);
    expect((await tellWhatsapp(spaced)).status).toBe(200);
  });
});

describe('what Unipile tells', () => {
  it('is written down once, however often', async () => {
    expect(await answer(await tellUnipile(ofUnipile()))).toEqual({
      status: 200,
      received: 1,
      new: 1,
      ignored: 0,
    });
    expect(await answer(await tellUnipile(ofUnipile()))).toMatchObject({ status: 200, new: 0 });
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

  it('of a third person leaves no text in the database; of one whom we write to it does', async () => {
    const inChat = (message: string, more: object = {}) =>
      tellUnipile(
        ofUnipile({
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

  it('of other events is taken and ignored', async () => {
    const response = await tellUnipile(ofUnipile({ event: 'message_reaction' }));
    expect(await answer(response)).toEqual({ status: 200, received: 0, new: 0, ignored: 1 });
  });

  it('by v2, signed, is written down as well', async () => {
    const body = JSON.stringify(messageNew);
    expect(await answer(await tellUnipile(body, signedByUnipile(body)))).toMatchObject({
      status: 200,
      new: 1,
    });
    expect(await stored()).toMatchObject([{ kind: 'message', status: 'received', message_id: 'm2' }]);
  });

  it.each<[what: string, headers: Record<string, string>]>([
    ['made with another secret', signedByUnipile(JSON.stringify(messageNew), 'guess')],
    ['of another body', signedByUnipile('{}')],
    ['without its time', { 'unipile-signature': 'v0=00' }],
    ['empty', { 'unipile-signature': '' }],
    [
      'with another time than was signed',
      {
        'unipile-signature': signedByUnipile(JSON.stringify(messageNew))['unipile-signature'].replace(
          't=1',
          't=2',
        ),
      },
    ],
    [
      'false, beside the right header of v1',
      { 'unipile-signature': 't=1,v0=00', 'unipile-auth': UNIPILE_SECRET },
    ],
  ])('with a signature %s is refused', async (_, headers) => {
    expect((await tellUnipile(JSON.stringify(messageNew), headers)).status).toBe(401);
    expect(await stored()).toEqual([]);
  });

  describe('of an account', () => {
    const paused = async () =>
      (await database.sql('select paused_until > now() as paused, paused_reason from punctual.accounts'))[0];
    beforeEach(async () => {
      await database.reset();
      await database.sql(
        `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'acc1', 'Ann')`,
      );
    });
    const tell = async (told: object) => {
      const body = JSON.stringify(told);
      return answer(await tellUnipile(body, signedByUnipile(body)));
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

    it('by v1 pauses it with the reason, and resumes it', async () => {
      const body = JSON.stringify(v1('CREDENTIALS'));
      expect(await answer(await tellUnipile(body))).toEqual({ status: 200, received: 1, new: 1, ignored: 0 });
      expect(await paused()).toMatchObject({
        paused: true,
        paused_reason: expect.stringContaining('(CREDENTIALS)'),
      });
      expect(await tell(v1('CREDENTIALS'))).toMatchObject({ status: 200, new: 0 });
      expect(await tell(v1('OK'))).toMatchObject({ new: 1 });
      expect(await paused()).toEqual({ paused: null, paused_reason: null });
    });

    it('by v2 counts in the order of its events', async () => {
      await tell(v2('account.status.disconnected', '2026-11-22T10:00:02.000Z'));
      expect(await tell(v2('account.status.running', '2026-11-22T10:00:01.000Z'))).toMatchObject({ new: 0 });
      expect(await paused()).toMatchObject({
        paused: true,
        paused_reason: expect.stringContaining('(disconnected)'),
      });
      expect(await tell(v2('account.status.running', '2026-11-22T10:00:03.000Z'))).toMatchObject({ new: 1 });
      expect(await paused()).toMatchObject({ paused: null });
    });

    it.each(['v1', 'v2'] as const)('is heard of as the sandbox tells it by %s', async (version) => {
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
        // Only the texts of people whom we write to are kept.
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

    it('that a call found disconnected goes on once it is back, in the version of the call', async () => {
      const answers: [number, object][] = [
        [401, { type: 'errors/disconnected_account' }],
        [201, { object: 'MessageSent', message_id: null }],
      ];
      const provider = createServer((_request, response) => {
        const [code, body] = answers.shift() ?? [500, {}];
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
      expect([await states(), await paused(), answers.length]).toMatchObject([
        ['pending'],
        { paused: true },
        1,
      ]);
      await tell(v1('RECONNECTED'));
      await run();
      expect(await states()).toEqual(['sent']);
      await database.sql('delete from punctual.dm_queue');
    });

    it.each([v1('CREDENTIALS', 'stranger'), v1('TELEPORTED'), v2('account.status.teleported', '')])(
      'changes nothing where account or status are unknown: %j',
      async (told) => {
        expect(await tell(told)).toMatchObject({ status: 200, new: 0 });
        expect(await paused()).toMatchObject({ paused: null });
      },
    );
  });

  it.each<[what: string, headers: Record<string, string>]>([
    ['without the secret', {}],
    ['with an empty one', { 'unipile-auth': '' }],
    ['with another', { 'unipile-auth': 'guess' }],
    ['with more than it', { 'unipile-auth': `${UNIPILE_SECRET}x` }],
    ['with it as a bearer token', { authorization: `Bearer ${UNIPILE_SECRET}` }],
  ])('%s is refused', async (_, headers) => {
    const { status, error } = await answer(await tellUnipile(ofUnipile(), headers));
    expect({ status, kind: error.kind }).toEqual({ status: 401, kind: 'unauthorised' });
    expect(await stored()).toEqual([]);
  });
});

describe('a webhook', () => {
  it.each(['', ' ', undefined])('is closed while its secret is %j, and says what to set', async (value) => {
    vi.stubEnv('WHATSAPP_APP_SECRET', value);
    vi.stubEnv('UNIPILE_WEBHOOK_SECRET', value);
    const guess = value ?? '';
    const body = ofWhatsapp(status());
    const calls: [string, Promise<Response>][] = [
      ['WHATSAPP_APP_SECRET', tellWhatsapp(body, { 'x-hub-signature-256': sign(body, guess) })],
      ['UNIPILE_WEBHOOK_SECRET', tellUnipile(ofUnipile(), { 'unipile-auth': guess })],
    ];
    for (const [variable, call] of calls) {
      const { status, error } = await answer(await call);
      expect(status).toBe(503);
      expect(error).toMatchObject({ kind: 'not_configured', variables: [variable] });
    }
    expect(await stored()).toEqual([]);
  });

  it.each<[what: string, body: string | Uint8Array<ArrayBuffer>]>([
    ['no JSON', 'a=b'],
    ['empty', ''],
    ['cut', '{"entry":['],
    ['no UTF-8', Uint8Array.from([0x22, 0xff, 0xfe, 0x22])],
    ['nested without end', '['.repeat(200_000) + ']'.repeat(200_000)],
  ])('that is %s is 400', async (_, body) => {
    const { status, error } = await answer(await tellWhatsapp(body));
    expect({ status, kind: error.kind }).toEqual({ status: 400, kind: 'invalid_json' });
  });

  it('above 3 MB is refused by its bytes, whatever length it claims and whoever sends it', async () => {
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
    const { status, error } = await answer(await whatsapp(request));
    expect({ status, kind: error.kind }).toEqual({ status: 413, kind: 'too_large' });
    expect(pulled).toBeLessThan(20);
  });

  it('of 3 MB, the most that Meta sends, is read', async () => {
    const body = ofWhatsapp(status()).padEnd(3 * 1024 * 1024, ' ');
    expect(await answer(await tellWhatsapp(body))).toMatchObject({ status: 200, new: 1 });
  });

  it('that breaks off is 400', async () => {
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(new Error('the client has gone'));
      },
    });
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
    const response = await whatsapp(new Request('http://app.test/api/webhooks/whatsapp', init));
    expect(response.status).toBe(400);
  });

  it('is asked for again while the database is away', async () => {
    const away = supabaseRpc({ url: 'http://127.0.0.1:1', serviceRoleKey: 'key' });
    provideServices({ ...made, rpc: away });
    for (const call of [tellWhatsapp(ofWhatsapp(status())), tellUnipile(ofUnipile())]) {
      const response = await call;
      expect(response.status).toBe(503);
      expect(response.headers.get('retry-after')).toBe('5');
      expect((await response.json()).error.kind).toBe('database_unavailable');
    }
    provideServices(made);
    expect(await answer(await tellUnipile(ofUnipile()))).toMatchObject({ status: 200, new: 1 });
  });
});

describe('Meta’s question whether it is expected', () => {
  const ask = (query: Record<string, string>) =>
    challenge(new Request(`http://app.test/api/webhooks/whatsapp?${new URLSearchParams(query)}`));
  const right = { 'hub.mode': 'subscribe', 'hub.verify_token': VERIFY_TOKEN, 'hub.challenge': '1158201444' };

  it('is answered with the challenge, as plain text', async () => {
    const response = await ask(right);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('1158201444');
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each<[what: string, changes: Record<string, string>, status: number]>([
    ['another token', { 'hub.verify_token': 'guess' }, 401],
    ['an empty token', { 'hub.verify_token': '' }, 401],
    ['another mode', { 'hub.mode': 'unsubscribe' }, 400],
  ])('with %s is refused', async (_, changes, status) => {
    const response = await ask({ ...right, ...changes });
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain('1158201444');
  });

  it('without anything is refused', async () => {
    expect((await ask({})).status).toBe(401);
    expect((await ask({ 'hub.mode': 'subscribe', 'hub.verify_token': VERIFY_TOKEN })).status).toBe(400);
  });

  it('is closed while the token is not set, and says what to set', async () => {
    vi.stubEnv('WHATSAPP_VERIFY_TOKEN', '');
    const { status, error } = await answer(await ask({ ...right, 'hub.verify_token': '' }));
    expect(status).toBe(503);
    expect(error).toMatchObject({ kind: 'not_configured', variables: ['WHATSAPP_VERIFY_TOKEN'] });
  });
});

describe('the sandbox’s webhooks', () => {
  it('are what the routes take: over real HTTP, signed, with the reference', async () => {
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
      const told = await stored();
      // Each webhook is late by itself: they come in any order.
      const whatsapp = told.filter((receipt) => receipt.provider === 'whatsapp_cloud');
      expect(whatsapp.sort((a, b) => a.status.localeCompare(b.status))).toMatchObject(
        ['delivered', 'sent'].map((word) => ({
          status: word,
          message_id: byWhatsapp?.id,
          reference: 'dm_queue/7/0f8e',
          provider_account_id: 'ph-1',
        })),
      );
      expect(told.find((receipt) => receipt.provider === 'unipile')).toMatchObject({
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

  it('stop the sequence of a person who hides the number from the first reply on', async () => {
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
    const scheduleContinuation = async () => {
      await tick(enrolments, realTimePorts(database.rpc), { ...options, deps: null });
      await tick(dmQueue, realTimePorts(database.rpc), { ...options, deps });
    };
    try {
      await scheduleContinuation();
      await expect.poll(async () => (await stored()).length).toBe(2);
      const chat = { provider: 'whatsapp-cloud', account: 'ph-1', recipient: 'US.9115194' } as const;
      sandbox.write(chat, 'stop');
      await expect
        .poll(() => database.sql('select phase, last_reply from punctual.enrolments'))
        .toEqual([{ phase: 'replied', last_reply: 'stop' }]);
      await scheduleContinuation();
      expect(sandbox.deliveries()).toHaveLength(1);
    } finally {
      await sandbox.close();
    }
  });
});
