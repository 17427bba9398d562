import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { afterEach, expect, it } from 'vitest';
import { receiveReceipts } from '../../lib/http/webhooks/receive-receipts.ts';
import { perTestExchanges } from '../support/fixtures.ts';
import { perTestStackBench, testStack } from './test-stack.ts';

/** An hour and a half before the clocks change in Berlin. */
const night = '2026-03-28T23:30:00Z';
const stack = testStack();
const bench = perTestStackBench(stack);
const sql = perTestExchanges(stack);
const burners: ChildProcess[] = [];
afterEach(() => {
  for (const burner of burners.splice(0)) burner.kill('SIGKILL');
});

/** Slows the machine down with one busy process per core, besides the other tests that run. */
function burn(): void {
  for (let n = 0; n < availableParallelism(); n++)
    burners.push(spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
}

/** Adds accounts without running triggers, each with a due message. */
async function addAccounts(count: number, hours: object | null): Promise<void> {
  await stack.sql(
    `begin;
     set local session_replication_role = replica;
     insert into punctual.accounts (provider, provider_account_id, name, time_zone, hours)
     select 'unipile', 'account-' || n, 'A', 'Europe/Berlin', ${hours ? `'${JSON.stringify(hours)}'` : 'null'}
       from generate_series(1, ${count}) n;
     commit;
     insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
     select id, 'linkedin', 'c', 'x', '${night}'::timestamptz - interval '1 hour' from punctual.accounts;
     analyze punctual.accounts, punctual.dm_queue`,
  );
  sql.setNow(night);
}

/** The calls have the database's own limit of time. One that the statement timeout ends throws. */
const tick = (limit_seconds: number) => sql.tick({ limit_seconds, call_ms: undefined });

it('10,000 accounts whose hours open after the clocks change get the right ready_at, and no call exceeds its limit', async () => {
  await addAccounts(10_000, { sun: ['04:00-12:00'] });
  burn();
  const { exchange } = tick(600);
  let calls = 1;
  while (!(await exchange({ seq: calls, want: 1, close: true })).closed) calls++;
  // Each call wakes at least 1,000 accounts or judges at least 100.
  expect(calls).toBeLessThan(120);
  expect(
    await stack.sql(
      `select ready_at, count(*)::integer from punctual.pace where queue = 'dm_queue' group by 1`,
    ),
  ).toEqual([{ ready_at: new Date('2026-03-29T02:00:00Z'), count: 10_000 }]);
});

it('20,000 accounts without rows in punctual.pace get them and wake, and no call exceeds its limit', async () => {
  await addAccounts(20_000, null);
  await stack.sql(`update punctual.queues set batch_limit = null, concurrency = 1 where name = 'dm_queue'`);
  burn();
  const left = async () => {
    const [{ n }] = await stack.sql(
      `select (select count(*) from punctual.accounts) - count(p.ready_at) as n from punctual.pace p where p.queue = 'dm_queue'`,
    );
    return Number(n);
  };
  let ticks = 0;
  do {
    await tick(1).exchange({ want: 1 });
    sql.pass(2);
    expect(++ticks).toBeLessThanOrEqual(70);
  } while ((await left()) > 0);
}, 300_000);

it('8,000 replies in one webhook end their enrolments, and no call exceeds its limit', async () => {
  const count = 8_000;
  await stack.sql(
    `with account as (
       insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'acc', 'A') returning id),
     sequence as (
       insert into punctual.sequences (name, channel, created_at, updated_at) values ('s', 'linkedin', '${night}', '${night}') returning id),
     version as (
       insert into punctual.sequence_versions (sequence_id, version, steps, created_at)
       select id, 1, '[{"kind": "message", "delay_seconds": 0, "body": "x", "on_reply": "stop"}]', '${night}' from sequence returning sequence_id)
     insert into punctual.enrolments (sequence_id, version, account_id, channel, chat_id, recipient, time_zone, enrolled_at, next_step_at)
     select v.sequence_id, 1, a.id, 'linkedin', 'chat-' || n, 'person-' || n, 'UTC', '2026-01-01', '2026-09-01'
       from account a, version v, generate_series(1, $1::integer) n`,
    [count],
  );
  await stack.sql('analyze punctual.enrolments');
  burn();
  const receipts = Array.from({ length: count }, (_, n) => ({
    kind: 'message' as const,
    status: 'received' as const,
    message_id: `m${n}`,
    provider_account_id: 'acc',
    chat_id: `chat-${n + 1}`,
    body: 'hi',
    said_at: night,
  }));
  expect(await receiveReceipts(stack.rpc, 'unipile', receipts)).toEqual({ received: count, new: count });
  expect(await stack.sql(`select phase, count(*)::integer from punctual.enrolments group by 1`)).toEqual([
    { phase: 'replied', count },
  ]);
});

it('receipts that exceed the statement timeout are written in parts', async () => {
  await stack.sql(
    `create function public.receive_slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.3); return new; end $$;
     create trigger receive_slowly before insert on punctual.receipts for each row execute function public.receive_slowly()`,
  );
  const receipts = Array.from({ length: 20 }, (_, n) => ({
    kind: 'message' as const,
    status: 'delivered' as const,
    message_id: `slow${n}`,
  }));
  try {
    expect(await receiveReceipts(stack.rpc, 'whatsapp', receipts)).toEqual({ received: 20, new: 20 });
  } finally {
    await stack.sql('drop function public.receive_slowly() cascade');
  }
  expect(await stack.sql('select id from punctual.receipts')).toHaveLength(20);
});

it('outcomes that exceed the statement timeout are written in parts', async () => {
  await stack.sql(
    `create function public.follow_slowly(p_applied jsonb, p_now timestamptz) returns void language sql as
       $$ select pg_sleep(0.3 * jsonb_array_length(p_applied)) $$`,
  );
  await stack.sql(
    `update punctual.queues set after_settle = 'public.follow_slowly', batch_limit = 30, concurrency = 30 where name = 'dm_queue'`,
  );
  await bench.addDms(30);
  expect((await bench.tick()).counts).toMatchObject({ claimed: 30, done: 30, lost: 0 });
  expect(await bench.states()).toEqual({ sent: 30 });
});
