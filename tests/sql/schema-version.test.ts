import { beforeEach, describe, expect, it } from 'vitest';
import { GET as tickJobs } from '../../app/api/cron/jobs/route.ts';
import type { TickIdentity } from '../../lib/engine/ports/queue-store.ts';
import { schemaVersion } from '../../lib/store/migrate/schema-version.ts';
import { queueStore } from '../../lib/store/queue-store.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { answered, apiRequest, bearer, CRON_SECRET } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';

const database = servedDatabase();
/** The schema versions that exchanges required, in order. */
let required: unknown[];
/** The newer versions that the store reported. */
let newer: string[];
beforeEach(() => {
  required = [];
  newer = [];
});

/** Creates the store of a process that just started. Returns a function that makes one exchange. */
function startStore() {
  const rpc: Rpc = (fn, args) => {
    required.push((args.p_tick as { schema?: string }).schema);
    return database.rpc(fn, args);
  };
  const store = queueStore(rpc, undefined, (version) => newer.push(version));
  const tick: Omit<TickIdentity, 'id' | 'runId'> = {
    ...{ queue: 'jobs', partition: 'default', scheduler: 'test', limitSeconds: 60, lock: 'none' },
    ...{
      path: null,
      schedule: null,
      slot: null,
      continuation: 0,
      providers: [],
      reconciles: false,
      asked: null,
    },
  };
  return () => {
    const id = crypto.randomUUID();
    const nothing = { settlements: [], providers: [], progress: [], want: null, report: null };
    return store.exchange({ tick: { ...tick, id, runId: id }, seq: 1, close: true, ...nothing });
  };
}

const removeLatestMigration = () =>
  database.sql('delete from punctual.schema_migrations where version = $1', [schemaVersion]);
const addLaterMigration = (engine: boolean) =>
  database.sql(
    `insert into punctual.schema_migrations (version, name, engine) values ('29990101000000', 'later', $1)`,
    [engine],
  );

describe('the first exchange of a process', () => {
  it('names the schema version that the code needs, and later exchanges do not', async () => {
    const exchange = startStore();
    await exchange();
    await exchange();
    expect([required, newer]).toEqual([[schemaVersion, undefined], []]);
  });

  it('changes nothing on a schema that is behind, names the command to run, and succeeds once it has run', async () => {
    await removeLatestMigration();
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
    expect(required).toEqual([schemaVersion, schemaVersion, schemaVersion, undefined]);
  });

  it('ticks on a schema that is ahead, as during a deployment, and reports the newer version once', async () => {
    await addLaterMigration(true);
    const exchange = startStore();
    expect(await exchange()).toMatchObject({ admitted: true, closed: true });
    await exchange();
    expect(newer).toEqual(['29990101000000']);
  });

  it('does not count your own migration as one of Punctual’s', async () => {
    await addLaterMigration(false);
    await startStore()();
    expect(newer).toEqual([]);
    await removeLatestMigration();
    await expect(startStore()()).rejects.toMatchObject({ code: 'PT412' });
  });

  it('makes a cron endpoint answer 503 with the command to run if the schema is behind', async () => {
    await removeLatestMigration();
    const { status, body } = await answered(
      tickJobs(apiRequest('GET', '/api/cron/jobs', bearer(CRON_SECRET))),
    );
    expect([status, body.error.kind]).toEqual([503, 'database_misconfigured']);
    expect(body.error.message).toMatch(/^the database has Punctual's migrations up to .*npm run migrate/);
  });
});
