import { beforeEach, expect, it } from 'vitest';
import { ValidationError } from '../../lib/http/http-error.ts';
import { enqueueDms } from '../../lib/queues/dm-queue/new-dms.ts';
import { testStack } from './test-stack.ts';

const stack = testStack();
let account_id: string;
beforeEach(async () => {
  [{ id: account_id }] = await stack.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'a', 'A') returning id`,
  );
});

const dm = (body: string, idempotency_key: string) => ({
  account_id,
  channel: 'linkedin',
  chat_id: 'c',
  body,
  idempotency_key,
});

it('of three calls at once with one key and different messages, one is accepted, and the others are refused and insert nothing', async () => {
  for (let n = 0; n < 20; n++) {
    const calls = await Promise.allSettled(
      ['one', 'two', 'three'].map((body) =>
        enqueueDms(stack.rpc, [dm(body, `key-${n}`), dm(`${body}, besides`, `${body}-${n}`)]),
      ),
    );
    const accepted = calls.flatMap((call) => (call.status === 'fulfilled' ? [call.value.rows] : []));
    const refused = calls.flatMap((call) => (call.status === 'rejected' ? [call.reason] : []));
    expect(accepted).toMatchObject([[{ created: true }, { created: true }]]);
    expect(refused).toHaveLength(2);
    for (const error of refused) {
      expect(error).toBeInstanceOf(ValidationError);
      expect(error.errors[0].field).toBe('idempotency_key');
    }
    // All or none: the refused calls did not insert their other message either.
    expect(await stack.sql('select id from punctual.dm_queue')).toHaveLength(2 * (n + 1));
  }
});

it('two calls at once with the same keys in opposite order insert each row once and do not deadlock', async () => {
  for (let n = 0; n < 5; n++) {
    const rows = Array.from({ length: 200 }, (_, i) => dm(`order-${i}`, `order-${i}-${n}`));
    const calls = await Promise.all([
      enqueueDms(stack.rpc, rows),
      enqueueDms(stack.rpc, [...rows].reverse()),
    ]);
    const created = calls.map(({ rows }) => rows.filter((row) => row.created).length);
    expect(created.sort((a, b) => a - b)).toEqual([0, 200]);
  }
});

it('a call gets its row even while the row, or later its spent key, is being pruned', async () => {
  const untilBlocked = () =>
    expect
      .poll(
        () =>
          stack.sql("select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'enqueue_dms'"),
        { timeout: 10_000 },
      )
      .toHaveLength(1);
  const prune = 'select punctual.prune(1000, now() + $1::interval)';
  const [{ id }] = await stack.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at, idempotency_key)
     values ($1, 'linkedin', 'c', 'once', 'sent', now(), 'pruned') returning id::text as id`,
    [account_id],
  );
  const session = await stack.begin();
  await session.query(prune, ['40 days']);
  const repeated = enqueueDms(stack.rpc, [dm('once', 'pruned')]);
  await untilBlocked();
  await session.query('commit; begin');
  expect(await repeated).toEqual({ rows: [{ id, status: 'sent', created: false }] });

  // The call has read the spent key and waits for another session's message with its second key.
  await session.query(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, idempotency_key) values ($1, 'linkedin', 'c', 'other', 'z')`,
    [account_id],
  );
  const both = enqueueDms(stack.rpc, [dm('once', 'pruned'), dm('other', 'z')]);
  await untilBlocked();
  await stack.sql(prune, ['140 days']);
  await session.query('rollback');
  expect(await both).toMatchObject({ rows: [{ id, created: false }, { created: true }] });
});
