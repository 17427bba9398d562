import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest';
import { openServedDatabase, stubSecrets } from './api-server.ts';
import { conversations, type Step } from './conversations.ts';
import { exchanges } from './exchanges.ts';
import { openTestDatabase, type TestDatabase } from './test-database.ts';
import { tickBench } from './tick-bench.ts';

/**
 * Makes an object before each test, and returns a stand-in for the current one, so that a file's helpers can use it without a parameter.
 * `make` runs in the order of the hooks.
 */
export function perTest<T extends object>(make: () => T | Promise<T>): T {
  let current: T | undefined;
  beforeEach(async () => {
    current = await make();
  });
  return standInFor(() => current);
}

function standInFor<T extends object>(current: () => T | undefined): T {
  const made = () => {
    const value = current();
    if (!value) throw new Error('It is made before each test. Use it inside a test or a hook.');
    return value;
  };
  return new Proxy({} as T, {
    get: (_target, key) => Reflect.get(made(), key),
    set: (_target, key, value) => Reflect.set(made(), key, value),
  });
}

/** Opens a database for the tests of the file, as `openTestDatabase`, and empties it before each. */
export function testDatabase(options: { own?: boolean } = {}): TestDatabase {
  return databaseOf(() => openTestDatabase(options));
}

/** As `testDatabase`, for tests of routes: the routes use the database, with `env`, and the secrets of `api-server.ts` are set in each test. */
export function servedDatabase(
  env: Record<string, string> = {},
  { password, ...options }: { own?: boolean; password?: string } = {},
): TestDatabase {
  const database = databaseOf(() => openServedDatabase(env, options));
  beforeEach(() => stubSecrets({ password }));
  afterEach(() => {
    vi.unstubAllEnvs();
  });
  return database;
}

function databaseOf(open: () => Promise<TestDatabase>): TestDatabase {
  let database: TestDatabase | undefined;
  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database?.close());
  beforeEach(() => database?.reset());
  return standInFor(() => database);
}

/** The SQL calls of ticks over the database. The time starts anew in each test. */
export const perTestExchanges = (database: TestDatabase) => perTest(() => exchanges(database));

/** Sequences over the database, through an account `us` of each test's own. A tick claims any number of rows. */
export const perTestConversations = (database: TestDatabase, sql: ReturnType<typeof exchanges>) =>
  perTest(async () => {
    await database.sql('update punctual.queues set batch_limit = null');
    const talk = {
      ...conversations(database, sql),
      account: await sql.addAccount({ provider_account_id: 'us' }),
      /** Enrols Ann in a new sequence, and returns the enrolment's id. */
      async enrolAnn(steps: Step[], person: object = {}): Promise<string> {
        const people = [{ account_id: talk.account, recipient: 'ann', ...person }];
        const [id = ''] = await talk.enrol(await talk.addSequence(steps), people);
        return id;
      },
    };
    return talk;
  });

/** Ticks of `dm_queue` over the database, under a virtual clock of each test's own. */
export const perTestBench = (database: TestDatabase) => perTest(() => tickBench(database));
