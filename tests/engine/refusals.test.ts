import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unipile } from '../../lib/providers/unipile/unipile.ts';
import { whatsappCloud } from '../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { type DmProviders, dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { httpAnswer, loopback } from '../net/loopback.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';

type ProviderResponse = { status: number; body: object | string };

const net = loopback();
const database = testDatabase();
const bench = perTestBench(database);
/** The account of each call, in order. */
let calls: string[];
/** The provider's response to each call from now on. */
let respond: (account: string) => ProviderResponse;

afterEach(() => net.closeAll());
beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
  calls = [];
  respond = () => sent;
  queue = await messages();
});

const sent: ProviderResponse = { status: 201, body: { object: 'MessageSent', message_id: null } };
const nginx: ProviderResponse = { status: 404, body: '<html><center>nginx</center></html>' };
const unipileError = (status: number, type: string): ProviderResponse => ({
  status,
  body: { status, type, title: 'No' },
});
const metaError = (status: number, code: number): ProviderResponse => ({
  status,
  body: { error: { code, message: 'No' } },
});

let queue: Parameters<typeof bench.tick>[0];

/** Returns dm_queue with real clients. A server on loopback records their calls, which take no virtual time. */
async function messages() {
  const address = await net.answering((socket, raw) => {
    const account = /account-\d+/.exec(raw)?.[0] ?? '';
    calls.push(account);
    const { status, body } = respond(account);
    socket.end(httpAnswer(status, typeof body === 'string' ? body : JSON.stringify(body)));
  });
  const deps: DmProviders = {
    unipile: unipile({ dsn: address, apiKey: 'a key' }),
    whatsapp_cloud: whatsappCloud({ accessToken: 'a token', apiVersion: 'v23.0', baseUrl: address }),
    unipileMaxLateMs: 600_000,
  };
  return bench.queue(
    (row, context) =>
      bench.clock.busy(Promise.resolve(dmQueue.perform(row as never, { ...context, deps } as never))),
    { row: dmQueue.row as never },
  );
}

/** Runs one tick a minute. */
async function ticks(minutes: number): Promise<void> {
  const end = bench.clock.now() + minutes * 60_000;
  while (bench.clock.now() < end) {
    const next = bench.clock.now() + 60_000;
    await bench.tick(queue);
    bench.clock.skip(Math.max(0, next - bench.clock.now()));
  }
}

describe('a backlog of 330 messages of one account', () => {
  beforeEach(async () => {
    await bench.addDms(330, { accounts: 1, dailyLimit: 30 });
    await database.sql('update punctual.accounts set hourly_limit = 8, gap_seconds = 60');
  });

  it.each<[what: string, response: ProviderResponse, provider?: 'whatsapp']>([
    ['the account is restricted', unipileError(403, 'errors/account_restricted')],
    ['the account is disconnected', unipileError(401, 'errors/disconnected_account')],
    ['the API key is wrong', unipileError(401, 'errors/missing_credentials')],
    ['the address is wrong', nginx],
    ['a login page responds', { status: 302, body: '<html>' }],
    ['Meta has locked the account', metaError(403, 131031), 'whatsapp'],
    ['the account is unpaid', metaError(400, 131042), 'whatsapp'],
    ['the token has expired', metaError(401, 190), 'whatsapp'],
    ['the API version is retired', metaError(400, 2635), 'whatsapp'],
  ])('costs at most five calls in an hour, and no message, if %s', async (_, response, provider) => {
    if (provider) {
      await database.sql(`update punctual.accounts set provider = 'whatsapp_cloud'`);
      await database.sql(`update punctual.dm_queue set channel = 'whatsapp', recipient = '+49' || id`);
    }
    respond = () => response;
    await ticks(60);
    expect(calls.length).toBeGreaterThan(1);
    expect(calls.length).toBeLessThanOrEqual(5);
    expect(await bench.states()).toEqual({ pending: 330 });
    expect(await database.sql('select id from punctual.dm_queue where attempts > 0')).toEqual([]);
  });

  it('loses at most five messages to an unknown error code, and then pauses the account', async () => {
    respond = () => unipileError(422, 'errors/something_new');
    await ticks(60);
    expect(calls).toHaveLength(5);
    expect(await bench.states()).toEqual({ failed: 5, pending: 325 });
    const paused_reason = '5 rows in a row were refused: unipile answered 422 (errors/something_new): No';
    expect(await database.sql('select paused_reason from punctual.accounts')).toEqual([{ paused_reason }]);
  });

  it('keeps to the gap and the hourly limit even if each message is refused for another reason', async () => {
    let n = 0;
    respond = () => unipileError(422, `errors/reason_${n++}`);
    await ticks(60);
    expect(calls).toHaveLength(8);
    const short = await database.sql(
      `select from (select finished_at - lag(finished_at) over (order by id) as gap from punctual.dm_queue where status = 'failed') g
        where gap < interval '60 seconds'`,
    );
    expect(short).toEqual([]);
  });

  it('continues once the provider accepts the account again', async () => {
    respond = () => unipileError(403, 'errors/action_required');
    await ticks(2);
    respond = () => sent;
    await ticks(10);
    expect(await bench.states()).toEqual({ sent: 7, pending: 323 });
  });
});

describe('a backlog of many accounts', () => {
  it('costs at most five calls in an hour and no message if the address is wrong, however many rows run side by side', async () => {
    await bench.addDms(60, { accounts: 12 });
    respond = () => nginx;
    await ticks(60);
    expect(calls.length).toBeLessThanOrEqual(5);
    expect(await bench.states()).toEqual({ pending: 60 });
    respond = () => sent;
    await ticks(60);
    expect(await bench.states()).toEqual({ sent: 60 });
  });

  it('costs no more calls than were running at the first refusal, if several ticks run at once', async () => {
    await bench.addDms(60);
    await database.sql('update punctual.queues set max_ticks = 3, concurrency = 4');
    respond = () => nginx;
    await bench.clock.run(Promise.all([1, 2, 3].map(() => bench.start(queue))));
    expect(calls.length).toBeLessThanOrEqual(12);
    const runningCalls = calls.length;
    await ticks(60);
    expect(calls).toHaveLength(runningCalls);
    expect(await bench.states()).toEqual({ pending: 60 });
  });

  it('keeps going out if one account is always blocked, and tries that account less and less often', async () => {
    await bench.addDms(60, { accounts: 6 });
    respond = (account) => (account === 'account-1' ? { status: 400, body: '<html>blocked' } : sent);
    await ticks(180);
    expect(await bench.states()).toEqual({ sent: 50, pending: 10 });
    expect(calls.filter((account) => account === 'account-1').length).toBeLessThanOrEqual(7);
  });
});

it('disconnected accounts pause neither the provider nor the other accounts, even if five in a row are disconnected', async () => {
  await bench.addDms(12);
  await database.sql('update punctual.queues set concurrency = 1');
  respond = (account) =>
    Number(account.split('-')[1]) <= 6 ? unipileError(401, 'errors/disconnected_account') : sent;
  expect((await bench.tick(queue)).ended).toBe('drained');
  expect(await bench.states()).toEqual({ sent: 6, pending: 6 });
  expect(calls).toHaveLength(12);
  expect(await database.sql('select name from punctual.providers')).toEqual([]);
});
