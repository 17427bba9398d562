import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { type PostgresRpc, postgresRpc } from '../../lib/store/postgres-rpc.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { exchanges } from '../support/exchanges.ts';
import { tickBench } from '../support/tick-bench.ts';

let stack: Stack;
let direct: PostgresRpc;

beforeAll(async () => {
  stack = await startStack();
  direct = postgresRpc({ url: stack.ownerUrl });
});
afterAll(async () => {
  await direct?.close();
  await stack?.stop();
});
beforeEach(async () => {
  await stack.sql('truncate punctual.ticks, punctual.dm_queue, punctual.pace, punctual.accounts cascade');
});

const database = () => ({
  rpc: direct.rpc,
  sql: stack.sql,
  reset: async () => {},
  close: async () => {},
});

describe('a direct connection', () => {
  it('runs a tick', async () => {
    const bench = tickBench(database());
    await bench.addDms(3);
    const report = await bench.tick(bench.queue(() => done()));
    expect(report).toMatchObject({ outcome: 'ran', counts: { claimed: 3, done: 3 } });
  });

  it('passes arrays and objects as the function declares them', async () => {
    const sql = exchanges(database());
    const account = await sql.addAccount();
    const { id } = await sql.addUnknown(account);
    sql.pass(600);
    expect(
      await sql.check(() => ({ proof: [{ message_id: 'm1', result: { chat_id: 'c' } }] })),
    ).toMatchObject({
      checked: 1,
      done: 1,
    });
    expect((await sql.dm(id)).status).toBe('sent');
  });

  it('maps the errors of Postgres, and a missing answer, to kinds', async () => {
    await expect(direct.rpc('exchange', { p_tick: { queue: 'none' } })).rejects.toMatchObject({
      kind: 'refused',
      code: '22023',
    });
    await expect(direct.rpc('no_such_function', {})).rejects.toMatchObject({ kind: 'misconfigured' });
    const nowhere = postgresRpc({ url: 'postgres://user:pass-word@127.0.0.1:1/postgres' });
    const error = await nowhere.rpc('exchange', {}).catch((thrown) => thrown);
    expect(error).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('127.0.0.1:1') });
    expect(String(error)).not.toContain('pass-word');
    await nowhere.close();
  });

  it('tells of inserts into any queue, also after it broke', async () => {
    const stop = new AbortController();
    const told: (string | null)[] = [];
    const faults: string[] = [];
    direct.listen({
      onInsert: (queue) => told.push(queue),
      onFault: (reason) => faults.push(reason),
      signal: stop.signal,
    });
    await vi.waitFor(() => expect(told).toEqual([null]), 10_000);
    const sql = exchanges(database());
    await sql.addDm(await sql.addAccount());
    await vi.waitFor(() => expect(told).toEqual([null, 'dm_queue']), 10_000);
    await stack.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'punctual listen'",
    );
    await vi.waitFor(() => expect(told).toEqual([null, 'dm_queue', null]), 20_000);
    await stack.sql("insert into punctual.jobs (name, payload) values ('count-words', '{}')");
    await vi.waitFor(() => expect(told.at(-1)).toBe('jobs'), 10_000);
    expect(faults.length).toBeLessThanOrEqual(1);
    stop.abort();
  });
});
