import type { TestDatabase } from './test-database.ts';

/**
 * Returns everything of a table except its rows: columns, indexes, constraints, triggers, storage, grants, row-level security. If the shape
 * is equal before and after, the table was not changed.
 */
export async function tableShape(database: TestDatabase, table: string): Promise<object> {
  const [shape] = await database.sql(
    `select
      (select jsonb_object_agg(a.attname, jsonb_build_array(format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)))
         from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
      (select jsonb_agg(pg_get_indexdef(i.indexrelid) order by i.indexrelid::regclass::text) from pg_index i where i.indrelid = c.oid) as indexes,
      (select jsonb_agg(k.conname || ' ' || pg_get_constraintdef(k.oid) order by k.conname) from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n') as constraints,
      (select jsonb_agg(pg_get_triggerdef(g.oid) order by g.tgname) from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal) as triggers,
      c.reloptions, c.relrowsecurity, c.relacl::text as grants
      from pg_class c where c.oid = $1::regclass`,
    [table],
  );
  return shape;
}

/** Returns the registry's rows of all queues. */
export async function registryShape(database: TestDatabase): Promise<object> {
  const [shape] = await database.sql(`select
    (select jsonb_agg(to_jsonb(q) order by q.name) from punctual.queues q) as queues,
    (select jsonb_agg(to_jsonb(p) order by p.queue, p.partition) from punctual.partitions p) as partitions,
    (select count(*) from punctual.pace) as paces`);
  return shape;
}
