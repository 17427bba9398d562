/** Tables that hold rows from the migrations, parents first. They are restored; all others are emptied. */
const seeded = ['schema_migrations', 'templates', 'queues', 'regions', 'partitions', 'settings'];

/** A queue's columns that its own functions do not contain, so a change of them needs no new functions. */
const settings = [
  'batch_limit',
  'concurrency',
  'adaptive',
  'budget_seconds',
  'max_ticks',
  'max_continuations',
  'timeout_seconds',
  'lease_seconds',
  'max_attempts',
  'backoff_base_seconds',
  'backoff_cap_seconds',
  'retention_days',
  'paused_at',
  'paused_until',
  'paused_reason',
  'setup',
];

/** A larger table is truncated, because nothing vacuums its deleted rows here. */
const grownBytes = 256 * 1024;

// biome-ignore lint/suspicious/noExplicitAny: rows of any shape
type Sql = (text: string) => Promise<any[]>;

/**
 * Creates `test_support.reset()`, which empties a migrated database in one call.
 *
 * It uses DELETE, because TRUNCATE takes 20 ms for the files of a few tables and their indexes, and makes Postgres plan every statement on
 * them again.
 */
export async function installReset(sql: Sql): Promise<void> {
  await sql('create schema test_support');
  for (const table of seeded) await sql(`create table test_support.${table} as table punctual.${table}`);
  const statements = [
    ...(await tablesToEmpty(sql)).map(
      ({ table, sequence }) => `
      if pg_relation_size('${table}') > ${grownBytes} then truncate ${table} cascade; else delete from ${table}; end if;
      ${sequence ? `perform setval('${sequence}', 1, false);` : ''}`,
    ),
    ...seeded.map(
      (table) => `
      delete from punctual.${table} t where not exists (select from test_support.${table} k where k.* is not distinct from t.*);
      insert into punctual.${table} overriding system value
        select k.* from test_support.${table} k where not exists (select from punctual.${table} t where k.* is not distinct from t.*);`,
    ),
  ];
  await sql(`create function test_support.reset() returns void language plpgsql as $reset$
    declare
      changed text[] := array(
        select t.name from punctual.queues t join test_support.queues k on k.name = t.name
         where to_jsonb(t) - '{${settings}}'::text[] is distinct from to_jsonb(k) - '{${settings}}'::text[]);
    begin
      -- Otherwise a trigger takes each deleted message for one that a person deleted by hand.
      perform set_config('punctual.settles', 'dm_queue', true);
      perform punctual.drop_functions(q.name) from punctual.queues q where q.name not in (select k.name from test_support.queues k);
      ${statements.join('\n')}
      perform punctual.make_functions(q) from punctual.queues q where q.name = any (changed);
    end $reset$`);
}

/** Lists the tables to empty. A table comes before the tables that it refers to. */
async function tablesToEmpty(sql: Sql): Promise<{ table: string; sequence: string | null }[]> {
  return sql(`
    with recursive emptied as (
      select c.oid::regclass as relation from pg_class c
       where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r' and c.relname <> all ('{${seeded}}')
      union
      select to_regclass(format('%I.%I', q.table_schema, q.table_name)) from punctual.queues q where q.source = 'table'),
    chain as (
      select relation, 0 as depth from emptied
      union all
      select f.conrelid, c.depth + 1 from chain c join pg_constraint f on f.contype = 'f' and f.confrelid = c.relation and f.conrelid <> f.confrelid)
    select e.relation::text as table, s.sequence from emptied e
      left join lateral (
        select s.oid::regclass::text as sequence from pg_depend d join pg_class s on s.oid = d.objid and s.relkind = 'S'
         where d.refobjid = e.relation and d.classid = 'pg_class'::regclass) s on true
     order by (select max(depth) from chain c where c.relation = e.relation) desc, e.relation::text`);
}
