import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { After } from '../../lib/cron/continuation.ts';
import { cronRoute } from '../../lib/cron/cron-route.ts';
import { tickHandler } from '../../lib/cron/handlers/tick-partition.ts';
import { dmQueue } from '../../lib/queues/dm-queue/queue.ts';
import { bearer, CRON_SECRET, openServedDatabase, stubSecrets } from '../support/api-server.ts';
import type { TestDatabase } from '../support/test-database.ts';

/** An app on loopback. Its `after` runs once the response is sent, as Next's does. */
let app: Server;
let appUrl: string;
let database: TestDatabase;
let sent: number;
/** The tasks of `after` that have not ended. */
const tasks = new Set<Promise<void>>();
const after: After = (task) => {
  const running = new Promise<void>((resolve) => setImmediate(resolve)).then(task);
  tasks.add(running);
  void running.finally(() => tasks.delete(running));
};
/** The app's requests, in order. */
let requests: { method?: string; url?: string; headers: NodeJS.Dict<string | string[]> }[];

const quick = {
  ...dmQueue,
  connect: () => ({}) as never,
  providers: () => ['unipile'],
  perform: () => {
    sent++;
    return { kind: 'done' as const };
  },
};

beforeAll(async () => {
  const handle = cronRoute(tickHandler(quick), { maxDuration: 60, after });
  app = createServer(async (incoming, outgoing) => {
    requests.push({ method: incoming.method, url: incoming.url, headers: incoming.headers });
    const headers = incoming.headers as Record<string, string>;
    const response = await handle(
      new Request(`${appUrl}${incoming.url}`, { method: incoming.method, headers }),
    );
    outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
  });
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  appUrl = `http://127.0.0.1:${(app.address() as AddressInfo).port}`;
  stubSecrets();
  database = await openServedDatabase({ PUNCTUAL_URL: appUrl, CRON_SECRET });
});

afterAll(async () => {
  await database.close();
  app.closeAllConnections();
  await new Promise((resolve) => app.close(resolve));
});

beforeEach(async () => {
  stubSecrets();
  sent = 0;
  requests = [];
  await database.reset();
});

afterEach(() => vi.unstubAllEnvs());

/** Adds due messages, each with an account of its own. */
async function addDms(count: number): Promise<void> {
  await database.sql(
    `with a as (insert into punctual.accounts (provider, provider_account_id, name)
                select 'unipile', 'account-' || n, 'Account' from generate_series(1, $1::integer) n returning id)
     insert into punctual.dm_queue (account_id, channel, chat_id, body)
     select id, 'linkedin', 'chat', 'hello' from a`,
    [count],
  );
}

const slot = '2026-03-02T12:00:00.000Z';

/** Calls the endpoint once, as a scheduler does, and waits for the continuations. */
async function callOnce(headers: Record<string, string> = {}): Promise<void> {
  const response = await fetch(`${appUrl}/api/cron/dm-queue`, {
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
  it('starts continuations until no row is due', async () => {
    await addDms(100);
    await callOnce();
    const ticks = await ledger();
    expect(ticks.map(({ continuation, claimed, ended }) => [continuation, claimed, ended])).toEqual([
      [0, 30, 'batch limit'],
      [1, 30, 'batch limit'],
      [2, 30, 'batch limit'],
      [3, 10, 'drained'],
    ]);
    expect(sent).toBe(100);
    expect(new Set(ticks.map(({ run_id }) => run_id)).size).toBe(1);
    for (const tick of ticks) {
      expect(tick).toMatchObject({
        scheduler: 'test-scheduler',
        path: '/api/cron/dm-queue',
        schedule: '* * * * *',
        slot,
        duplicate: false,
      });
    }
    expect(requests.slice(1).every(({ method }) => method === 'POST')).toBe(true);
  });

  it('starts at most max_continuations continuations', async () => {
    await addDms(100);
    await database.sql(`update punctual.queues set max_continuations = 2 where name = 'dm_queue'`);
    await callOnce();
    expect((await ledger()).map(({ continuation }) => continuation)).toEqual([0, 1, 2]);
    expect(sent).toBe(90);
  });

  it('starts no continuation if max_continuations is 0', async () => {
    await addDms(40);
    await database.sql(`update punctual.queues set max_continuations = 0 where name = 'dm_queue'`);
    await callOnce();
    expect(requests).toHaveLength(1);
    expect(sent).toBe(30);
  });

  it('ends its run if another tick is running', async () => {
    await addDms(100);
    await database.sql(
      `insert into punctual.ticks (id, queue, partition, scheduler, admitted, started_at, deadline_at)
       values (gen_random_uuid(), 'dm_queue', 'main', 'other', true, now(), now() + interval '1 minute')`,
    );
    await callOnce({
      'x-punctual-continuation': '1',
      'x-punctual-run-id': '6f2f4f0e-1e62-4d9c-9c5c-0d6b4a1d1f10',
    });
    expect(requests).toHaveLength(1);
    expect(sent).toBe(0);
  });

  it('leaves rows that cannot start yet to the next slot', async () => {
    await addDms(40);
    await database.sql(`update punctual.accounts set paused_until = 'infinity' where name = 'Account'`);
    await callOnce();
    expect(requests).toHaveLength(1);
  });

  it('treats a continuation without a run id as the scheduler’s own call', async () => {
    await callOnce({ 'x-punctual-continuation': '7' });
    expect(await ledger()).toMatchObject([{ continuation: 0 }]);
  });

  it('keeps the query of its URL, and so the secret, out of the ledger', async () => {
    await fetch(`${appUrl}/api/cron/dm-queue?x-vercel-protection-bypass=${CRON_SECRET}`, {
      headers: bearer(CRON_SECRET),
    });
    expect(await ledger()).toMatchObject([{ path: '/api/cron/dm-queue' }]);
  });
});

describe('two calls for one slot', () => {
  it('run its rows once, and the ledger marks the second as a duplicate', async () => {
    await addDms(10);
    await callOnce();
    await callOnce();
    expect(sent).toBe(10);
    expect((await ledger()).map(({ duplicate }) => duplicate)).toEqual([false, true]);
  });

  it('are not duplicates if two schedulers, or two entries of one, name the same instant', async () => {
    await callOnce();
    await callOnce({ 'x-punctual-scheduler': 'another-scheduler' });
    await fetch(`${appUrl}/api/cron/process-scheduled`, {
      headers: { ...bearer(CRON_SECRET), 'x-punctual-scheduler': 'test-scheduler', 'x-punctual-slot': slot },
    });
    expect((await ledger()).map(({ duplicate }) => duplicate)).toEqual([false, false, false]);
  });
});
