import { afterAll, beforeAll, expect, it } from 'vitest';
import { enqueueDms } from '../../lib/server/new-dms';
import { supabaseRpc } from '../../lib/store/supabase-rpc';
import { type Stack, startStack } from '../stack/start-stack';

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

it('two calls at once with one key and different messages: one is taken in, the other is refused, and neither gets the other’s row', async () => {
  for (let n = 0; n < 20; n++) {
    const answers = await Promise.all(
      ['one', 'two', 'three'].map((body) =>
        enqueueDms(rpc(), [dm(body, `key-${n}`), dm(`${body}, besides`, `${body}-${n}`)]),
      ),
    );
    const taken = answers.filter((answer) => 'rows' in answer);
    const refused = answers.filter((answer) => 'errors' in answer);
    expect([taken.length, refused.length]).toEqual([1, 2]);
    expect(taken[0]?.rows.map((row) => row.created)).toEqual([true, true]);
    expect(refused.every((answer) => answer.errors[0]?.field === 'idempotency_key')).toBe(true);
    const [{ count }] = await stack.sql('select count(*)::integer as count from punctual.dm_queue');
    // All or none: the refused calls left nothing of their other message.
    expect(count).toBe(2 * (n + 1));
  }
});

it('two calls at once with the same keys in opposite order: all are taken in once, and nobody waits for ever', async () => {
  const keys = Array.from({ length: 200 }, (_, n) => `order-${n}`);
  for (let n = 0; n < 5; n++) {
    const rows = keys.map((key) => dm(key, `${key}-${n}`));
    const [first, second] = await Promise.all([
      enqueueDms(rpc(), rows),
      enqueueDms(rpc(), [...rows].reverse()),
    ]);
    const created = [first, second].map((answer) =>
      'rows' in answer ? answer.rows.filter((row) => row.created).length : -1,
    );
    expect(created.sort((a, b) => a - b)).toEqual([0, 200]);
  }
});
