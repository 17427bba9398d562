import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET as tickJobs } from '../../app/api/cron/jobs/route.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import { schemaVersion } from '../../lib/store/schema-version.ts';
import {
  answered,
  apiRequest,
  bearer,
  CRON_SECRET,
  openServedDatabase,
  stubSecrets,
} from '../support/api-server.ts';
import type { TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
/** What exchanges said that they need, in their order. */
let said: unknown[];
let newer: string[];

beforeAll(async () => {
  database = await openServedDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  stubSecrets();
  said = [];
  newer = [];
});
afterEach(() => vi.unstubAllEnvs());

/** The store of a process that just started. */
function startStore(ask: typeof database.rpc = database.rpc) {
  const rpc: typeof database.rpc = (fn, args) => {
    said.push((args.p_tick as { schema?: string }).schema);
    return ask(fn, args);
  };
  const store = queueStore(rpc, undefined, (version) => newer.push(version));
  return () =>
    store.exchange({
      tick: {
        id: crypto.randomUUID(),
        queue: 'jobs',
        partition: 'default',
        scheduler: 'test',
        path: null,
        schedule: null,
        slot: null,
        continuation: 0,
        runId: crypto.randomUUID(),
        limitSeconds: 60,
        lock: 'none',
        providers: [],
        reconciles: false,
        asked: null,
      },
      seq: 1,
      settlements: [],
      providers: [],
      progress: [],
      want: null,
      close: true,
      report: null,
    });
}

const takeBack = () =>
  database.sql('delete from punctual.schema_migrations where version = $1', [schemaVersion]);
const add = (engine: boolean) =>
  database.sql(
    `insert into punctual.schema_migrations (version, name, engine) values ('29990101000000', 'later', $1)`,
    [engine],
  );

describe('the first exchange of a process', () => {
  it('says which schema the code needs, and the others do not', async () => {
    const exchange = startStore();
    await exchange();
    await exchange();
    expect(said).toEqual([schemaVersion, undefined]);
    expect(newer).toEqual([]);
  });

  it('does nothing on a schema that is behind, says what to run, and goes on once that was run', async () => {
    await takeBack();
    const exchange = startStore();
    for (let call = 0; call < 2; call++) {
      await expect(exchange()).rejects.toMatchObject({
        kind: 'misconfigured',
        code: 'PT412',
        message: expect.stringMatching(`this code needs ${schemaVersion} .*npm run migrate`),
      });
    }
    expect(await database.sql('select id from punctual.ticks')).toEqual([]);
    await database.reset();
    expect(await exchange()).toMatchObject({ admitted: true });
    await exchange();
    expect(said).toEqual([schemaVersion, schemaVersion, schemaVersion, undefined]);
  });

  it('ticks on a schema that is ahead, as while a newer version is deployed, and says so once', async () => {
    await add(true);
    const exchange = startStore();
    expect(await exchange()).toMatchObject({ admitted: true, closed: true });
    await exchange();
    expect(newer).toEqual(['29990101000000']);
  });

  it('does not take a person’s own migration for one of Punctual’s', async () => {
    await add(false);
    await startStore()();
    expect(newer).toEqual([]);
    await takeBack();
    await expect(startStore()()).rejects.toMatchObject({ code: 'PT412' });
  });

  it('is answered by a cron endpoint with what to run', async () => {
    await takeBack();
    const { status, body } = await answered(
      tickJobs(apiRequest('GET', '/api/cron/jobs', bearer(CRON_SECRET))),
    );
    expect(status).toBe(503);
    expect(body.error.kind).toBe('database_misconfigured');
    expect(body.error.message).toMatch(/^the database has Punctual's migrations up to .*npm run migrate/);
  });
});
