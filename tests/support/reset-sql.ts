/** Tables that hold rows from the migrations, parents first. They are restored; all others are emptied. */
const seeded = ['queues', 'regions', 'partitions', 'settings'];

/**
 * Creates `test_support.reset()`, which empties a migrated database in one call.
 *
 * Only tables that hold something are truncated, because each costs new files for itself and its indexes. TRUNCATE rather than DELETE,
 * so that rows lie in the order in which a test inserts them, whatever ran before.
 */
export async function installReset(sql: (text: string) => Promise<unknown>): Promise<void> {
  await sql('create schema test_support');
  for (const table of seeded) await sql(`create table test_support.${table} as table punctual.${table}`);
  await sql(`create table test_support.emptied as
    select c.oid::regclass as relation from pg_class c
     where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r' and c.relname <> all ('{${seeded}}')
    union
    select to_regclass(format('%I.%I', q.table_schema, q.table_name)) from punctual.queues q where q.source = 'table'`);
  const restored = seeded.map(
    (table) => `
      if exists (table punctual.${table} except table test_support.${table})
         or (select count(*) from punctual.${table}) <> (select count(*) from test_support.${table}) then
        delete from punctual.${table};
        insert into punctual.${table} overriding system value table test_support.${table} on conflict do nothing;
      end if;`,
  );
  await sql(`create function test_support.reset() returns void language plpgsql as $reset$
    declare
      v_used text;
    begin
      select string_agg(relation::text, ', ') into v_used from test_support.emptied where pg_relation_size(relation) > 0;
      if v_used is not null then
        execute 'truncate ' || v_used || ' restart identity cascade';
      end if;
      ${restored.join('')}
    end $reset$`);
}
