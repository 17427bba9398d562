import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ValidationError } from '../../lib/http/http-error.ts';
import { enqueueDms } from '../../lib/queues/dm-queue/new-dms.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';

let stack: Stack;
let account_id: string;

beforeAll(async () => {
  stack = await startStack();
  const [account] = await stack.sql(
    `insert into punctual.accounts (provider, provider_account_id, name) values ('unipile', 'a', 'A') returning id`,
  );
  account_id = account.id;
});
afterAll(() => stack.stop());

const rpc = () => supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });
const dm = (body: string, idempotency_key: string) => ({
  account_id,
  channel: 'linkedin',
  chat_id: 'c',
  body,
  idempotency_key,
});

it('of three calls at once with one key and different messages, one is accepted, and the others are refused and insert nothing', async () => {
  for (let n = 0; n < 20; n++) {
    const responses = await Promise.all(
      ['one', 'two', 'three'].map((body) =>
        enqueueDms(rpc(), [dm(body, `key-${n}`), dm(`${body}, besides`, `${body}-${n}`)]).catch(
          (error: unknown) => {
            if (error instanceof ValidationError) return { errors: error.errors };
            throw error;
          },
        ),
      ),
    );
    const accepted = responses.filter((response) => 'rows' in response);
    const refused = responses.filter((response) => 'errors' in response);
    expect([accepted.length, refused.length]).toEqual([1, 2]);
    expect(accepted[0]?.rows.map((row) => row.created)).toEqual([true, true]);
    expect(refused.every((response) => response.errors[0]?.field === 'idempotency_key')).toBe(true);
    const [{ count }] = await stack.sql('select count(*)::integer as count from punctual.dm_queue');
    // All or none: the refused calls did not insert their other message either.
    expect(count).toBe(2 * (n + 1));
  }
});

it('two calls at once with the same keys in opposite order insert each row once and do not deadlock', async () => {
  const keys = Array.from({ length: 200 }, (_, n) => `order-${n}`);
  for (let n = 0; n < 5; n++) {
    const rows = keys.map((key) => dm(key, `${key}-${n}`));
    const [first, second] = await Promise.all([
      enqueueDms(rpc(), rows),
      enqueueDms(rpc(), [...rows].reverse()),
    ]);
    const created = [first, second].map(({ rows }) => rows.filter((row) => row.created).length);
    expect(created.sort((a, b) => a - b)).toEqual([0, 200]);
  }
});

/** Opens another session in a transaction. */
async function openSession(): Promise<Client> {
  const session = new Client({ connectionString: stack.databaseUrl });
  await session.connect();
  await session.query('begin');
  return session;
}
const untilBlocked = () =>
  expect
    .poll(
      () =>
        stack.sql("select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'enqueue_dms'"),
      {
        timeout: 10_000,
      },
    )
    .toHaveLength(1);
const prune = 'select punctual.prune(1000, now() + $1::interval)';

it('a call gets its row even while the row, or later its spent key, is being pruned', async () => {
  const [{ id }] = await stack.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at, idempotency_key)
     values ($1, 'linkedin', 'c', 'once', 'sent', now(), 'pruned') returning id::text as id`,
    [account_id],
  );
  const session = await openSession();
  try {
    await session.query(prune, ['40 days']);
    const repeated = enqueueDms(rpc(), [dm('once', 'pruned')]);
    await untilBlocked();
    await session.query('commit');
    expect(await repeated).toEqual({ rows: [{ id, status: 'sent', created: false }] });

    // The call has read the spent key and waits for another session's message with its second key.
    await session.query('begin');
    await session.query(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, idempotency_key) values ($1, 'linkedin', 'c', 'other', 'z')`,
      [account_id],
    );
    const both = enqueueDms(rpc(), [dm('once', 'pruned'), dm('other', 'z')]);
    await untilBlocked();
    await stack.sql(prune, ['140 days']);
    await session.query('rollback');
    expect(await both).toMatchObject({ rows: [{ id, created: false }, { created: true }] });
  } finally {
    await session.end();
  }
});
