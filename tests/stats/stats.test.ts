import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET } from '../../app/api/stats/route.ts';
import { schemaVersion } from '../../lib/store/schema-version.ts';
import { answered, apiRequest, openServedDatabase, stubSecrets } from '../support/api-server.ts';
import type { TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
beforeEach(() => stubSecrets());
afterEach(async () => {
  vi.unstubAllEnvs();
  await database.close();
});

/** Why the ticks of each queue fail. */
async function failing(): Promise<Record<string, string | null>> {
  const { body } = await answered(GET(apiRequest('GET', '/api/stats')));
  return Object.fromEntries(
    body.queues.map((queue: { name: string; failing: string | null }) => [queue.name, queue.failing]),
  );
}

describe('GET /api/stats', () => {
  it('says of a queue that cannot tick what has to be set', async () => {
    database = await openServedDatabase();
    const without = await failing();
    expect(without.dm_queue).toContain('set UNIPILE_DSN and UNIPILE_API_KEY');
    expect(without.posts).toContain('UNIPILE_DSN');
    expect(without).toMatchObject({ jobs: null, monitors: null });
  });

  it.each([
    [1, null],
    [6, expect.stringContaining('UNIPILE_DSN')],
  ])(
    'of one that was ticked %d minutes ago, be it by a worker with settings of its own: %s',
    async (minutes, said) => {
      database = await openServedDatabase();
      await database.sql(
        `insert into punctual.ticks (id, queue, partition, scheduler, admitted, outcome, started_at, deadline_at, closed_at)
       select gen_random_uuid(), 'dm_queue', 'main', 'worker', true, 'ran', t.at, t.at, t.at
         from (select now() - make_interval(mins => $1::integer) as at) t`,
        [minutes],
      );
      expect((await failing()).dm_queue).toEqual(said);
    },
  );

  it('says nothing of one that is set up', async () => {
    database = await openServedDatabase({ UNIPILE_DSN: 'http://127.0.0.1', UNIPILE_API_KEY: 'key' });
    expect(new Set(Object.values(await failing()))).toEqual(new Set([null]));
  });

  it('says of a queue that this code has no route for that nothing ticks it', async () => {
    database = await openServedDatabase({}, { own: true });
    await database.sql('create table public.trials (id bigint primary key, due timestamptz)');
    await database.sql(`select punctual.add_queue('trials', 'public.trials', 'due', 'at-least-once')`);
    const unticked = async () => {
      const { body } = await answered(GET(apiRequest('GET', '/api/stats')));
      return body.queues.find(({ name }: { name: string }) => name === 'trials').unticked;
    };
    expect(await unticked()).toBeNull();
    await database.sql(`insert into public.trials values (1, now() - interval '1 second')`);
    // A figure is a second old at most.
    await vi.waitFor(
      async () => expect(await unticked()).toMatch(/^nothing ticks it: 1 row is due\. .*route/),
      {
        timeout: 30_000,
      },
    );
  });

  it('says of every queue that the schema is behind', async () => {
    database = await openServedDatabase();
    await database.sql('delete from punctual.schema_migrations where version = $1', [schemaVersion]);
    for (const why of Object.values(await failing())) expect(why).toContain('npm run migrate');
    await database.reset();
  });
});
