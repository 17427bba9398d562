import { expect, it } from 'vitest';
import { exchanges } from './exchanges.ts';
import { openTestDatabase } from './test-database.ts';

it('reset empties the database, counts ids from 1 again and restores the registry of the migrations', async () => {
  const database = await openTestDatabase();
  const registry = () =>
    database.sql(`select (select jsonb_agg(q order by q.name) from punctual.queues q) as queues,
      (select jsonb_agg(p order by p.queue, p.partition) from punctual.partitions p) as partitions,
      (select jsonb_agg(r order by r.name) from punctual.regions r) as regions`);
  const before = await registry();
  const fill = async () => {
    const sql = exchanges(database);
    const id = await sql.addDm(await sql.addAccount());
    await sql.drain();
    return id;
  };
  expect(await fill()).toBe('1');
  await database.sql(`update punctual.queues set batch_limit = 7, paused_at = now()`);
  await database.sql(`delete from punctual.partitions where queue = 'jobs'`);
  await database.sql(`insert into punctual.regions (name) values ('mars')`);

  await database.reset();
  const [{ kept }] = await database.sql(`
    select array_agg(c.relname::text) filter (where (xpath('/row/n/text()',
             query_to_xml(format('select count(*) as n from punctual.%I', c.relname), false, true, '')))[1]::text <> '0') as kept
      from pg_class c where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r'
       and c.relname not in ('schema_migrations', 'templates', 'queues', 'partitions', 'regions', 'settings')`);
  expect(kept).toBeNull();
  expect(await registry()).toEqual(before);
  expect(await fill()).toBe('1');
  await database.close();
});

it('the files of a worker share a database, and close throws in a file that changed its schema', async () => {
  const first = await openTestDatabase();
  await first.sql('select 1');
  await first.close();
  const second = await openTestDatabase();
  await second.sql('create table public.left_behind (id integer)');
  await expect(second.close()).rejects.toThrow('openTestDatabase({ own: true })');
  const third = await openTestDatabase();
  expect(await third.sql(`select to_regclass('public.left_behind') as gone`)).toEqual([{ gone: null }]);
  await third.close();
});
