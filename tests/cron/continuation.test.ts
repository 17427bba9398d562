import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { hasMore } from '../../lib/cron/continuation.ts';
import { cronRoute } from '../../lib/cron/cron-route.ts';
import { queueEndpoint } from '../../lib/cron/handlers/find-endpoint.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import type { After } from '../../lib/http/api-route.ts';
import { dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { bearer, CRON_SECRET } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';
import { serveHandler } from '../support/serve-handler.ts';

/** The tasks of `after` that have not ended. They run once the response is sent, as Next's do. */
const tasks = new Set<Promise<void>>();
const after: After = (task) => {
  const running = new Promise<void>((resolve) => setImmediate(resolve)).then(task);
  tasks.add(running);
  void running.finally(() => tasks.delete(running));
};

let sent: number;
const quick = {
  ...dmQueue,
  connect: () => ({}) as never,
  providers: () => ['unipile'],
  perform: () => {
    sent++;
    return { kind: 'done' as const };
  },
};

/** The methods of the app's requests, in order. */
let methods: string[];
const handle = cronRoute(queueEndpoint(quick), { maxDuration: 60, after });
const app = await serveHandler((request) => {
  methods.push(request.method);
  return handle(request);
});
afterAll(() => app.close());
const database = servedDatabase({ PUNCTUAL_URL: app.url, CRON_SECRET });
beforeEach(() => {
  sent = 0;
  methods = [];
});

/** Adds due messages, each with an account of its own. */
const addDms = (count: number) =>
  database.sql(
    `with a as (insert into punctual.accounts (provider, provider_account_id, name)
                select 'unipile', 'account-' || n, 'Account' from generate_series(1, $1::integer) n returning id)
     insert into punctual.dm_queue (account_id, channel, chat_id, body)
     select id, 'linkedin', 'chat', 'hello' from a`,
    [count],
  );

const slot = '2026-03-02T12:00:00.000Z';

/** Calls the endpoint once, as a scheduler does, and waits for the continuations. */
async function callOnce(headers: Record<string, string> = {}, path = '/api/cron/dm-queue'): Promise<void> {
  const response = await fetch(`${app.url}${path}`, {
    headers: {
      ...bearer(CRON_SECRET),
      'x-punctual-scheduler': 'test-scheduler',
      'x-punctual-slot': slot,
      'x-punctual-schedule': '* * * * *',
      ...headers,
    },
  });
  expect(response.status).toBe(200);
  while (tasks.size > 0) await Promise.all(tasks);
}

const ledger = () =>
  database.sql(
    `select continuation, scheduler, path, schedule, slot, duplicate, claimed, report->>'ended' as ended, run_id
       from punctual.ticks order by started_at, continuation`,
  );

describe('a tick that leaves due rows', () => {
  it('starts continuations of the same run until no row is due', async () => {
    await addDms(100);
    await callOnce();
    const [{ run_id }] = await ledger();
    const call = {
      scheduler: 'test-scheduler',
      path: '/api/cron/dm-queue',
      schedule: '* * * * *',
      slot,
      run_id,
    };
    const full = { ...call, duplicate: false, claimed: 30, ended: 'batch limit' };
    expect(await ledger()).toEqual([
      { ...full, continuation: 0 },
      { ...full, continuation: 1 },
      { ...full, continuation: 2 },
      { ...full, continuation: 3, claimed: 10, ended: 'drained' },
    ]);
    expect(sent).toBe(100);
    expect(methods).toEqual(['GET', 'POST', 'POST', 'POST']);
  });

  it.each([2, 0])('starts at most max_continuations continuations: %i', async (most) => {
    await addDms(100);
    await database.sql(`update punctual.queues set max_continuations = $1 where name = 'dm_queue'`, [most]);
    await callOnce();
    expect([methods.length, sent]).toEqual([1 + most, 30 * (1 + most)]);
  });

  it('ends its run if another tick is running', async () => {
    await addDms(100);
    await database.sql(
      `insert into punctual.ticks (id, queue, partition, scheduler, admitted, started_at, deadline_at)
       values (gen_random_uuid(), 'dm_queue', 'main', 'other', true, now(), now() + interval '1 minute')`,
    );
    await callOnce({ 'x-punctual-continuation': '1', 'x-punctual-run-id': crypto.randomUUID() });
    expect([methods.length, sent]).toEqual([1, 0]);
  });
});

describe('the ledger', () => {
  it('records a continuation without a run id as the scheduler’s own call', async () => {
    await callOnce({ 'x-punctual-continuation': '7' });
    expect(await ledger()).toMatchObject([{ continuation: 0 }]);
  });

  it('has no query of a URL, and so no secret in it', async () => {
    await callOnce({}, `/api/cron/dm-queue?x-vercel-protection-bypass=${CRON_SECRET}`);
    expect(await ledger()).toMatchObject([{ path: '/api/cron/dm-queue' }]);
  });

  it('has no duplicate if two schedulers, or two entries of one, name the same instant', async () => {
    await callOnce();
    await callOnce({ 'x-punctual-scheduler': 'another-scheduler' });
    await callOnce({}, '/api/cron/process-scheduled');
    await callOnce();
    expect((await ledger()).map(({ duplicate }) => duplicate)).toEqual([false, false, false, true]);
  });
});

describe('a continuation', () => {
  it.each<[label: string, changes: object, expected: boolean]>([
    ['starts if the budget ended the tick and a row could start', {}, true],
    ['starts if the batch limit ended the tick and a row could start', { ended: 'batch limit' }, true],
    ['does not start if the next row is due in 1 second', { nextDueInMs: 1_000 }, false],
    ['does not start if no row waits', { nextDueInMs: null }, false],
    ['does not start if the tick ran every due row', { ended: 'drained' }, false],
    ['does not start if the provider failed as a whole', { ended: 'breaker' }, false],
    ['does not start if the queue is paused', { ended: 'paused' }, false],
    ['does not start if the process is stopping', { ended: 'stopped' }, false],
    ['does not start if another tick was running', { ended: null }, false],
    ['does not start if the tick claimed nothing', { counts: { claimed: 0, released: 0 } }, false],
    ['does not start if it released every row', { counts: { claimed: 30, released: 30 } }, false],
  ])('%s', (_label, changes, expected) => {
    const report = { ended: 'budget', nextDueInMs: 0, counts: { claimed: 30, released: 0 }, ...changes };
    expect(hasMore(report as TickReport)).toBe(expected);
  });
});
