import { describe, expect, it } from 'vitest';
import { endpoints as statsApi } from '../../lib/api/stats.ts';
import { schemaVersion } from '../../lib/store/migrate/schema-version.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { servedDatabase } from '../support/fixtures.ts';
import { replaceEnv } from '../support/replace-services.ts';

const { 'GET /stats': GET } = statsApi;

const database = servedDatabase({}, { own: true });

/** Returns a field of each queue, by the queue's name. Figures are at most 1 s old, so each test has services of its own. */
async function read(field: string, env: Record<string, string> = {}): Promise<Record<string, string | null>> {
  await replaceEnv(env, database.rpc);
  const { queues } = (await answered(GET(apiRequest('GET', '/api/stats')))).body;
  return Object.fromEntries(
    queues.map((queue: { name: string; [field: string]: string }) => [queue.name, queue[field]]),
  );
}

describe('GET /api/stats', () => {
  it('names the variables to set for a queue that cannot tick', async () => {
    expect(await read('failing')).toMatchObject({
      dm_queue: expect.stringContaining('set UNIPILE_DSN and UNIPILE_API_KEY'),
      posts: expect.stringContaining('UNIPILE_DSN'),
      jobs: null,
      monitors: null,
    });
  });

  it.each([
    [1, null],
    [6, expect.stringContaining('UNIPILE_DSN')],
  ])(
    'reports for a queue that was ticked %d minutes ago, even by a worker with settings of its own: %s',
    async (minutes, expected) => {
      await database.sql(
        `insert into punctual.ticks (id, queue, partition, scheduler, admitted, outcome, started_at, deadline_at, closed_at)
         select gen_random_uuid(), 'dm_queue', 'main', 'worker', true, 'ran', t.at, t.at, t.at
           from (select now() - make_interval(mins => $1::integer) as at) t`,
        [minutes],
      );
      expect((await read('failing')).dm_queue).toEqual(expected);
    },
  );

  it('reports no fault if every queue is configured', async () => {
    const failing = await read('failing', { UNIPILE_DSN: 'http://127.0.0.1', UNIPILE_API_KEY: 'key' });
    expect(new Set(Object.values(failing))).toEqual(new Set([null]));
  });

  it('reports that nothing ticks a queue without a route', async () => {
    await database.sql('create table public.trials (id bigint primary key, due timestamptz)');
    await database.sql(`select punctual.add_queue('trials', 'public.trials', 'due', 'at-least-once')`);
    expect((await read('unticked')).trials).toBeNull();
    await database.sql(`insert into public.trials values (1, now() - interval '1 second')`);
    expect((await read('unticked')).trials).toMatch(/^nothing ticks it: 1 row is due\. .*route/);
  });

  it('reports for every queue that the schema is behind', async () => {
    await database.sql('delete from punctual.schema_migrations where version = $1', [schemaVersion]);
    for (const reason of Object.values(await read('failing'))) expect(reason).toContain('npm run migrate');
  });
});
