import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { perTest } from '../support/fixtures.ts';
import { installReset } from '../support/reset-sql.ts';
import type { TestDatabase } from '../support/test-database.ts';
import { type Perform, tickBench } from '../support/tick-bench.ts';
import { stackTick, type TickSettings } from './tick-process.ts';

export interface TestStack extends Stack, TestDatabase {
  /** The settings of a tick over the stack. */
  settings: TickSettings;
  /** Opens a connection of its own in a transaction, as the superuser or at `url`. It is closed after the test. */
  begin(url?: string): Promise<Client>;
  /** Waits until the session waits for a lock or its call ends. Returns whether it waits for a lock. */
  isBlocked(session: Client, call: Promise<unknown>): Promise<boolean>;
}

/** Starts the stack for the tests of the file, and empties its database before each. Use it inside tests and hooks only. */
export function testStack(): TestStack {
  const stack = {} as TestStack;
  const sessions: Client[] = [];
  beforeAll(async () => {
    const started = await startStack();
    await installReset(started.sql);
    const { supabaseUrl, serviceRoleKey, databaseUrl } = started;
    Object.assign(stack, started, {
      settings: { supabaseUrl, serviceRoleKey },
      rpc: supabaseRpc({ url: supabaseUrl, serviceRoleKey }),
      reset: () => started.sql('select test_support.reset()'),
      close: started.stop,
      async begin(url = databaseUrl) {
        const session = new Client({ connectionString: url });
        await session.connect();
        sessions.push(session);
        await session.query('begin');
        return session;
      },
      async isBlocked(session: Client, call: Promise<unknown>) {
        let isDone = false;
        const end = () => {
          isDone = true;
        };
        call.then(end, end);
        // The driver has the id of the session's process, and no type for it.
        const pid = Reflect.get(session, 'processID');
        while (!isDone) {
          const [{ waits }] = await started.sql('select cardinality(pg_blocking_pids($1)) > 0 as waits', [
            pid,
          ]);
          if (waits) return true;
        }
        return false;
      },
    });
  });
  afterAll(() => stack.stop?.());
  beforeEach(() => stack.reset());
  afterEach(async () => {
    for (const session of sessions.splice(0)) await session.end();
  });
  return stack;
}

/** Runs ticks of `dm_queue` over the stack in real time, each with connections of its own and the test's `perform`. */
export function perTestStackBench(stack: TestStack) {
  return perTest(() => {
    const bench = tickBench(stack, new Date().toISOString());
    return {
      ...bench,
      tick: (
        perform: Perform = () => done(),
        settings: Partial<TickSettings> = {},
        fetch?: typeof globalThis.fetch,
      ) => stackTick(bench.queue(perform), null, { ...stack.settings, ...settings }, fetch),
    };
  });
}
