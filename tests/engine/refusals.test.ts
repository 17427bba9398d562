import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { unipile } from '../../lib/providers/unipile/unipile.ts';
import { whatsappCloud } from '../../lib/providers/whatsapp/whatsapp-cloud.ts';
import { type DmProviders, dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { httpAnswer, loopback } from '../net/loopback.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { tickBench } from '../support/tick-bench.ts';

type Answer = { status: number; body: object | string };

const net = loopback();
let database: TestDatabase;
let bench: ReturnType<typeof tickBench>;
/** Each call, in order: the account that it was for. */
let calls: string[];
/** What the provider answers from now on. */
let answer: (account: string) => Answer;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
afterEach(() => net.closeAll());
beforeEach(async () => {
  await database.reset();
  await database.sql('update punctual.queues set batch_limit = null');
  bench = tickBench(database);
  calls = [];
  answer = () => sent;
});

const sent: Answer = { status: 201, body: { object: 'MessageSent', message_id: null } };
const nginx: Answer = { status: 404, body: '<html><center>nginx</center></html>' };
const unipileError = (status: number, type: string): Answer => ({
  status,
  body: { status, type, title: 'No' },
});
const metaError = (status: number, code: number): Answer => ({
  status,
  body: { error: { code, message: 'No' } },
});

/** The queue of messages over real clients, whose calls a server on loopback counts. No time passes during one. */
async function messages() {
  const address = await net.answering((socket, raw) => {
    const account = /account-\d+/.exec(raw)?.[0] ?? '';
    calls.push(account);
    const { status, body } = answer(account);
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

/** A tick a minute, for so long. */
async function ticks(queue: Awaited<ReturnType<typeof messages>>, minutes: number): Promise<void> {
  const end = bench.clock.now() + minutes * 60_000;
  while (bench.clock.now() < end) {
    const next = bench.clock.now() + 60_000;
    await bench.tick(queue);
    bench.clock.skip(Math.max(0, next - bench.clock.now()));
  }
}

const overWhatsapp = () =>
  Promise.all([
    database.sql(`update punctual.accounts set provider = 'whatsapp_cloud'`),
    database.sql(`update punctual.dm_queue set channel = 'whatsapp', recipient = '+49' || id`),
  ]);

describe('a backlog of 330 messages of one account', () => {
  beforeEach(async () => {
    await bench.addDms(330, { accounts: 1, dailyLimit: 30 });
    await database.sql('update punctual.accounts set hourly_limit = 8, gap_seconds = 60');
  });

  const stories: [string, Answer, boolean][] = [
    ['restricted', unipileError(403, 'errors/account_restricted'), false],
    ['disconnected', unipileError(401, 'errors/disconnected_account'), false],
    ['refused by a key that is wrong', unipileError(401, 'errors/missing_credentials'), false],
    ['asked for at an address that is wrong', nginx, false],
    ['answered by a login page', { status: 302, body: '<html>' }, false],
    ['locked by Meta', metaError(403, 131031), true],
    ['without payment', metaError(400, 131042), true],
    ['refused by a token that has expired', metaError(401, 190), true],
    ['asked for by a version that is retired', metaError(400, 2635), true],
  ];
  it.each(stories)(
    'costs at most five calls in an hour and no message where it is %s',
    async (_, said, isWhatsapp) => {
      if (isWhatsapp) await overWhatsapp();
      answer = () => said;
      await ticks(await messages(), 60);
      expect(calls.length).toBeGreaterThan(1);
      expect(calls.length).toBeLessThanOrEqual(5);
      expect(await bench.states()).toEqual({ pending: 330 });
      expect(await database.sql('select id from punctual.dm_queue where attempts > 0')).toEqual([]);
    },
  );

  it('loses at most five messages to a refusal that nobody knows, which then pauses the account', async () => {
    answer = () => unipileError(422, 'errors/something_new');
    await ticks(await messages(), 60);
    expect(calls).toHaveLength(5);
    expect(await bench.states()).toEqual({ failed: 5, pending: 325 });
    const [account] = await database.sql('select paused_reason from punctual.accounts');
    expect(account.paused_reason).toBe(
      '5 rows in a row were refused: unipile answered 422 (errors/something_new): No',
    );
  });

  it('keeps to the gap and the hour also where each is refused for another reason', async () => {
    let n = 0;
    answer = () => unipileError(422, `errors/reason_${n++}`);
    await ticks(await messages(), 60);
    expect(calls).toHaveLength(8);
    const gaps = await database.sql(
      `select finished_at - lag(finished_at) over (order by id) < interval '60 seconds' as short from punctual.dm_queue where status = 'failed'`,
    );
    expect(gaps.filter(({ short }) => short)).toEqual([]);
  });

  it('goes on once the account is accepted again', async () => {
    const queue = await messages();
    answer = () => unipileError(403, 'errors/action_required');
    await ticks(queue, 2);
    answer = () => sent;
    await ticks(queue, 10);
    expect(await bench.states()).toEqual({ sent: 7, pending: 323 });
  });
});

describe('a backlog of many accounts at an address that is wrong', () => {
  it('costs at most five calls in an hour, however many run side by side, and none is lost', async () => {
    await bench.addDms(60, { accounts: 12 });
    answer = () => nginx;
    const queue = await messages();
    await ticks(queue, 60);
    expect(calls.length).toBeLessThanOrEqual(5);
    expect(await bench.states()).toEqual({ pending: 60 });
    answer = () => sent;
    await ticks(queue, 60);
    expect(await bench.states()).toEqual({ sent: 60 });
  });

  it('costs no more than was under way, where several ticks run at once', async () => {
    await bench.addDms(60);
    await database.sql('update punctual.queues set max_ticks = 3, concurrency = 4');
    answer = () => nginx;
    const queue = await messages();
    await bench.clock.run(Promise.all([1, 2, 3].map(() => bench.start(queue))));
    expect(calls.length).toBeLessThanOrEqual(12);
    const underWay = calls.length;
    await ticks(queue, 60);
    expect(calls).toHaveLength(underWay);
    expect(await bench.states()).toEqual({ pending: 60 });
  });

  it('is answered in another form for one message only: that one waits ever longer, and the others go out', async () => {
    await bench.addDms(60, { accounts: 6 });
    answer = (account) => (account === 'account-1' ? { status: 400, body: '<html>blocked' } : sent);
    await ticks(await messages(), 180);
    expect(await bench.states()).toEqual({ sent: 50, pending: 10 });
    expect(calls.filter((account) => account === 'account-1').length).toBeLessThanOrEqual(7);
  });
});

describe('accounts that are disconnected', () => {
  it('say nothing of the provider: the others go on, be there five of them in a row', async () => {
    await bench.addDms(12);
    await database.sql(`update punctual.queues set concurrency = 1`);
    answer = (account) =>
      Number(account.split('-')[1]) <= 6 ? unipileError(401, 'errors/disconnected_account') : sent;
    const report = await bench.tick(await messages());
    expect(report.ended).toBe('drained');
    expect(await bench.states()).toEqual({ sent: 6, pending: 6 });
    expect(calls).toHaveLength(12);
    expect(await database.sql('select name from punctual.providers')).toEqual([]);
  });
});
