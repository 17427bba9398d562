import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET } from '../../app/api/stats/route.ts';
import { schemaVersion } from '../../lib/store/migrate/schema-version.ts';
import { answered, apiRequest, openServedDatabase, stubSecrets } from '../support/api-server.ts';
import type { TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
beforeEach(() => stubSecrets());
afterEach(async () => {
  vi.unstubAllEnvs();
  await database.close();
});

/** Returns why the ticks of each queue fail, by the queue's name. */
async function failing(): Promise<Record<string, string | null>> {
  const { body } = await answered(GET(apiRequest('GET', '/api/stats')));
  return Object.fromEntries(
    body.queues.map((queue: { name: string; failing: string | null }) => [queue.name, queue.failing]),
  );
}

describe('GET /api/stats', () => {
  it('names the variables to set for a queue that cannot tick', async () => {
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
    'reports for a queue that was ticked %d minutes ago, even by a worker with settings of its own: %s',
    async (minutes, expected) => {
      database = await openServedDatabase();
      await database.sql(
        `insert into punctual.ticks (id, queue, partition, scheduler, admitted, outcome, started_at, deadline_at, closed_at)
       select gen_random_uuid(), 'dm_queue', 'main', 'worker', true, 'ran', t.at, t.at, t.at
         from (select now() - make_interval(mins => $1::integer) as at) t`,
        [minutes],
      );
      expect((await failing()).dm_queue).toEqual(expected);
    },
  );

  it('reports no fault if every queue is configured', async () => {
    database = await openServedDatabase({ UNIPILE_DSN: 'http://127.0.0.1', UNIPILE_API_KEY: 'key' });
    expect(new Set(Object.values(await failing()))).toEqual(new Set([null]));
  });

  it('reports that nothing ticks a queue without a route', async () => {
    database = await openServedDatabase({}, { own: true });
    await database.sql('create table public.trials (id bigint primary key, due timestamptz)');
    await database.sql(`select punctual.add_queue('trials', 'public.trials', 'due', 'at-least-once')`);
    const unticked = async () => {
      const { body } = await answered(GET(apiRequest('GET', '/api/stats')));
      return body.queues.find(({ name }: { name: string }) => name === 'trials').unticked;
    };
    expect(await unticked()).toBeNull();
    await database.sql(`insert into public.trials values (1, now() - interval '1 second')`);
    // Figures are at most 1 s old.
    await vi.waitFor(
      async () => expect(await unticked()).toMatch(/^nothing ticks it: 1 row is due\. .*route/),
      {
        timeout: 30_000,
      },
    );
  });

  it('reports for every queue that the schema is behind', async () => {
    database = await openServedDatabase();
    await database.sql('delete from punctual.schema_migrations where version = $1', [schemaVersion]);
    for (const reason of Object.values(await failing())) expect(reason).toContain('npm run migrate');
    await database.reset();
  });
});
