import { beforeEach, describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { answerApi } from '../../lib/api/answer-api.ts';
import { PunctualError, punctualClient } from '../../lib/client/punctual-client.ts';
import { defineJob } from '../../lib/jobs/define-job.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { API_KEY } from '../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';

const database = servedDatabase();
const sql = perTestExchanges(database);

/** The calls that reached the server. */
let called: string[];
/** What happens to the next calls in place of an answer. */
let faults: (() => Response | Promise<Response>)[];
/** Responses that are lost after the server has done its work. */
let lost: number;
let clock: VirtualClock;
let account: string;

beforeEach(async () => {
  called = [];
  faults = [];
  lost = 0;
  clock = new VirtualClock();
  account = await sql.addAccount({ name: 'Ada' });
});

/** Sends a call to the API of this process. */
const serve: typeof fetch = async (input, init) => {
  const request = new Request(input, init);
  request.signal.throwIfAborted();
  const { pathname, search } = new URL(request.url);
  called.push(`${request.method} ${pathname}${search}`);
  const fault = faults.shift();
  if (fault) return fault();
  const parts = pathname.split('/').slice(2).map(decodeURIComponent);
  const answer = await clock.busy(answerApi(request, parts, {}));
  if (lost > 0) {
    lost--;
    throw new TypeError('fetch failed');
  }
  return answer;
};

const clientOf = (options: object = {}) =>
  punctualClient({ url: 'http://app.test/api/', apiKey: API_KEY, fetch: serve, clock, ...options });
const dm = (more: object = {}) => ({
  account_id: account,
  channel: 'linkedin' as const,
  chat_id: 'c',
  body: 'hi',
  ...more,
});

/** Returns the error of a promise. */
const errorOf = (promise: Promise<unknown>): Promise<PunctualError> =>
  promise.then(
    () => {
      throw new Error('it succeeded');
    },
    (error) => error,
  );

describe('the client', () => {
  it('creates one row or several, and reads, changes and cancels them', async () => {
    const client = clientOf();
    const job = await client.jobs.create({ name: 'count-words', payload: { text: 'a b' } });
    expect(job).toEqual({ id: '1', status: 'pending', created: true });
    expect((await client.jobs.read(job.id)).payload).toEqual({ text: 'a b' });
    expect(await client.jobs.cancel(job.id)).toEqual({ id: '1', status: 'cancelled' });
    expect(await client.dms.enqueue([dm(), dm()])).toHaveLength(2);
    const post = await client.posts.create({
      account_id: account,
      body: 'b',
      scheduled_for: '2099-01-01T00:00:00Z',
    });
    expect(await client.posts.change(post.id, { priority: 0 })).toMatchObject({
      priority: 0,
      status: 'scheduled',
    });
    await client.accounts.pause(account, { reason: 'r' });
    expect(await client.accounts.resume(account)).toMatchObject({ paused_until: null });
    await client.queues.pause('posts', { reason: 'r' });
    expect(await client.queues.resume('posts')).toMatchObject({ paused_at: null });
    expect((await client.rows.read('posts', post.id)).state).toBe('pending');
    expect((await client.rows.find('c')).map(({ queue }) => queue)).toEqual(['dm_queue', 'dm_queue']);
    const action = await client.actions.start('dm_queue', {
      action: 'cancel',
      filter: { status: 'pending' },
    });
    if (!('state' in action)) throw new Error('it was a dry run');
    expect((await client.actions.stop(action.id)).state).toBe('stopped');
    expect((await client.call('GET /stats')).queues.length).toBeGreaterThan(3);
  });

  it('iterates over all items of a list, and reads a page only when it is needed', async () => {
    const client = clientOf();
    await client.dms.enqueue([dm(), dm(), dm()]);
    called = [];
    const ids: string[] = [];
    for await (const row of client.rows.list('dm_queue', {
      status: ['pending', 'failed'],
      limit: 1,
      count: true,
    })) {
      ids.push(row.id);
      if (ids.length === 2) expect(called).toHaveLength(2);
    }
    expect(ids).toEqual(['1', '2', '3']);
    expect(called[0]).toBe('GET /api/queues/dm_queue/rows?status=pending%2Cfailed&limit=1&count=true');
    const first = await client.rows.list('dm_queue', { limit: 2 }).page();
    expect(first.rows).toHaveLength(2);
    expect((await client.rows.list('dm_queue', { limit: 2 }).page(first.next ?? '')).rows).toHaveLength(1);
  });

  it('throws an error with its status, kind and fields', async () => {
    const client = clientOf();
    const invalid = await errorOf(client.dms.enqueue([dm(), dm({ priority: 9 })]));
    expect(invalid).toBeInstanceOf(PunctualError);
    expect(invalid).toMatchObject({
      status: 422,
      kind: 'invalid',
      errors: [{ index: 1, field: 'priority' }],
    });
    expect(await errorOf(client.accounts.read('x'))).toMatchObject({ status: 404, kind: 'not_found' });
    expect(await errorOf(clientOf({ apiKey: 'guess' }).queues.list())).toMatchObject({ status: 401 });
    faults = [() => new Response('<html>Bad gateway</html>', { status: 502 })];
    expect(await errorOf(client.queues.list())).toMatchObject({ status: 502, kind: 'unexpected' });
    faults = [() => new Response('<html>Welcome</html>')];
    expect(await errorOf(client.queues.list())).toMatchObject({ status: 200, kind: 'unexpected' });
  });

  it('stops with the signal’s reason once it is aborted', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    expect(await errorOf(clientOf().queues.list({ signal }))).toMatchObject({ message: 'enough' });
    expect(called).toEqual([]);
  });

  it('stops while it waits to send a call again', async () => {
    const stop = new AbortController();
    faults = [
      () => {
        clock.timer(100, () => stop.abort(new Error('enough')));
        return Promise.reject(new TypeError('fetch failed'));
      },
    ];
    const { signal } = stop;
    const from = clock.now();
    expect(
      await clock.run(errorOf(clientOf().dms.enqueue(dm({ idempotency_key: 'k' }), { signal }))),
    ).toMatchObject({
      message: 'enough',
    });
    expect([called.length, clock.now() - from]).toEqual([1, 100]);
  });

  it('sends a call without a key once', async () => {
    faults = [() => Promise.reject(new TypeError('fetch failed'))];
    expect(await errorOf(clientOf().dms.enqueue(dm()))).toMatchObject({ status: 0, kind: 'unreachable' });
    faults = [() => Promise.reject(new TypeError('fetch failed'))];
    const mixed = [dm({ idempotency_key: 'k' }), dm()];
    expect(await errorOf(clientOf().dms.enqueue(mixed))).toMatchObject({ kind: 'unreachable' });
    expect(called).toHaveLength(2);
  });

  it('sends a call whose rows have keys again after no response, and creates each row once', async () => {
    lost = 2;
    const row = await clock.run(clientOf().dms.enqueue(dm({ idempotency_key: 'k' })));
    expect(row).toMatchObject({ id: '1', created: false });
    expect(called).toHaveLength(3);
    lost = 3;
    const failed = clock.run(errorOf(clientOf().dms.enqueue(dm({ idempotency_key: 'k2' }))));
    expect(await failed).toMatchObject({ kind: 'unreachable' });
    expect(await database.sql('select count(*) from punctual.dm_queue')).toEqual([{ count: 2 }]);
  });

  it('waits for as long as the server says, and does not repeat what was refused', async () => {
    const busy = () =>
      Response.json(
        { error: { kind: 'database_unavailable', message: 'm' } },
        { status: 503, headers: { 'Retry-After': '5' } },
      );
    faults = [busy];
    const from = clock.now();
    await clock.run(clientOf().dms.enqueue(dm({ idempotency_key: 'k' })));
    expect(clock.now() - from).toBe(5_000);
    called = [];
    await errorOf(clientOf().dms.enqueue(dm({ idempotency_key: 'k', priority: 9 })));
    expect(called).toHaveLength(1);
  });

  it('has the types of the API and of the app’s jobs', () => {
    const handlers = { greet: defineJob({ payload: z.object({ name: z.string() }), run: async () => null }) };
    const client = punctualClient<typeof handlers>({ url: 'x', apiKey: 'y' });
    const compiles = () => [
      client.jobs.create({ name: 'greet', payload: { name: 'Ann' } }),
      // @ts-expect-error: the app has no such job.
      client.jobs.create({ name: 'other' }),
      // @ts-expect-error: its payload has another type.
      client.jobs.create({ name: 'greet', payload: { name: 7 } }),
    ];
    expect(compiles).toBeTypeOf('function');
    type Rows = Awaited<ReturnType<typeof client.rows.read>>;
    expectTypeOf<Rows['state']>().toEqualTypeOf<
      'pending' | 'running' | 'done' | 'dead' | 'unknown' | 'cancelled' | null
    >();
    type Account = Parameters<typeof client.accounts.save>[0];
    expectTypeOf<Account['provider']>().toEqualTypeOf<'unipile' | 'whatsapp_cloud'>();
  });
});
