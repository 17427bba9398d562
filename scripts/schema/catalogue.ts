/** Runs one query as the owner. */
type Sql = (text: string) => Promise<Record<string, unknown>[]>;

export interface SchemaObject {
  /** `function punctual.exchange(jsonb, integer)`, `column punctual.queues.name`, `template claim {plain}`. */
  name: string;
  kind: 'function' | 'template' | 'other';
  /** Everything about it that Postgres knows and a migration makes, as text. */
  definition: string;
  /** Of a function: its parameters with their names, and what it returns. `create or replace` changes neither. */
  signature?: string;
}

/** The schemas that migrations write to. */
const inSchemas = `n.nspname in ('punctual', 'public')`;

/** Whatever a migration may make. A table's columns are compared by name, since later ones come last; a type's by position. */
const queries = [
  `select 'schema ' || n.nspname as name, 'other' as kind, coalesce(n.nspacl, acldefault('n', n.nspowner))::text as definition
     from pg_namespace n where n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema'`,
  `select c.relkind::text || ' ' || c.oid::regclass as name, 'other' as kind,
          concat_ws(' ', coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))::text, c.relrowsecurity, c.reloptions::text, obj_description(c.oid), pg_get_viewdef(c.oid)) as definition
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${inSchemas} and c.relkind in ('r', 'v', 'm', 'S', 'c')`,
  `select 'column ' || c.oid::regclass || '.' || a.attname as name, 'other' as kind,
          concat_ws(' ', format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end, a.attidentity, a.attgenerated,
                    pg_get_expr(d.adbin, d.adrelid), a.attacl::text, col_description(c.oid, a.attnum), case when c.relkind = 'c' then a.attnum end) as definition
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where ${inSchemas} and c.relkind in ('r', 'c')`,
  `select 'constraint ' || case when c.conrelid <> 0 then c.conrelid::regclass::text else c.contypid::regtype::text end || ' ' || c.conname as name,
          'other' as kind, pg_get_constraintdef(c.oid) as definition
     from pg_constraint c join pg_namespace n on n.oid = c.connamespace where ${inSchemas}`,
  `select 'domain ' || t.oid::regtype as name, 'other' as kind, concat_ws(' ', format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault) as definition
     from pg_type t join pg_namespace n on n.oid = t.typnamespace where ${inSchemas} and t.typtype = 'd'`,
  `select 'index ' || i.indexrelid::regclass as name, 'other' as kind, pg_get_indexdef(i.indexrelid) as definition
     from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace where ${inSchemas}`,
  `select 'trigger ' || t.tgrelid::regclass || ' ' || t.tgname as name, 'other' as kind, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text as definition
     from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace where ${inSchemas} and not t.tgisinternal`,
  `select 'policy ' || p.polrelid::regclass || ' ' || p.polname as name, 'other' as kind,
          concat_ws(' ', p.polcmd, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) as definition
     from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace where ${inSchemas}`,
  `select 'function ' || p.oid::regprocedure as name, 'function' as kind,
          concat_ws(' ', pg_get_functiondef(p.oid), p.proacl::text, obj_description(p.oid, 'pg_proc')) as definition,
          pg_get_function_arguments(p.oid) || ' returns ' || pg_get_function_result(p.oid) as signature
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ${inSchemas} and p.prokind in ('f', 'p')
      and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')`,
  `select 'template ' || t.verb || ' ' || t.kinds::text as name, 'template' as kind, t.text as definition from punctual.templates t`,
  `select 'queue ' || q.name as name, 'other' as kind, to_jsonb(q)::text as definition from punctual.queues q`,
  `select 'partition ' || p.queue || ' ' || p.partition as name, 'other' as kind, to_jsonb(p)::text as definition from punctual.partitions p`,
  `select 'region ' || r.name as name, 'other' as kind, (to_jsonb(r) - 'created_at')::text as definition from punctual.regions r`,
  `select 'settings' as name, 'other' as kind, to_jsonb(s)::text as definition from punctual.settings s`,
];

/** Reads what the migrations have made of a database: two databases with the same catalogue work the same. */
export async function readCatalogue(sql: Sql): Promise<Map<string, SchemaObject>> {
  const objects = new Map<string, SchemaObject>();
  for (const query of queries) {
    for (const row of (await sql(query)) as unknown as SchemaObject[]) objects.set(row.name, row);
  }
  return objects;
}

export interface CatalogueChanges {
  added: SchemaObject[];
  changed: SchemaObject[];
  removed: SchemaObject[];
}

/** Returns what leads from one catalogue to the other. */
export function compareCatalogues(
  from: Map<string, SchemaObject>,
  to: Map<string, SchemaObject>,
): CatalogueChanges {
  const now = [...to.values()];
  return {
    added: now.filter(({ name }) => !from.has(name)),
    changed: now.filter(
      ({ name, definition }) => from.has(name) && from.get(name)?.definition !== definition,
    ),
    removed: [...from.values()].filter(({ name }) => !to.has(name)),
  };
}
