export type Query = (sql: string, params?: unknown[]) => Promise<Record<string, unknown>[]>;

export interface Column {
  name: string;
  /** As Postgres writes it, without a length: `timestamp with time zone`, `text[]`. */
  type: string;
  isNullable: boolean;
  /** The words of an enum, or of the enum that it is an array of; empty otherwise. */
  words: string[];
}

/** How a table is a queue already. */
export interface RegisteredQueue {
  name: string;
  delivery: Delivery;
  dueColumn: string;
  statusColumn: string;
}

export type Delivery = 'at-least-once' | 'at-most-once';

export interface Table {
  /** Quoted where SQL needs it: `public.reminders`, `public."FreeTrials"`. */
  name: string;
  columns: Column[];
  queue: RegisteredQueue | null;
}

/** The columns of the engine. A handler gets some of them, and needs none. */
const standardColumns = new Set(
  'priority attempts max_attempts next_attempt_at claim_id claimed_at lease_expires_at timeout_seconds last_error finished_at expires_at idempotency_key reconcile_at reconcile'.split(
    ' ',
  ),
);

/** Reads a table; null if it does not exist. `name` may lack its schema, `public`. */
export async function readTable(query: Query, name: string): Promise<Table | null> {
  const [schema, table] = splitName(name);
  const [found] = await query(
    `select c.oid::int as oid, format('%I.%I', n.nspname, c.relname) as name
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relname = $2`,
    [schema, table],
  );
  if (!found) return null;
  const columns = await query(
    `select a.attname as name, pg_catalog.format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null) as type,
            not a.attnotnull as "isNullable",
            array(select e.enumlabel::text from pg_catalog.pg_enum e where e.enumtypid in (t.oid, t.typelem)
                   order by e.enumsortorder) as words
       from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
      where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [found.oid],
  );
  return {
    name: String(found.name),
    columns: columns as unknown as Column[],
    queue: await readQueue(query, schema, table),
  };
}

async function readQueue(query: Query, schema: string, table: string): Promise<RegisteredQueue | null> {
  const [registry] = await query(`select to_regclass('punctual.queues') is not null as found`);
  if (registry?.found !== true) return null;
  const [queue] = await query(
    `select q.name, q.delivery, q.due_column as "dueColumn", q.status_column as "statusColumn"
       from punctual.queues q where q.table_schema = $1 and q.table_name = $2`,
    [schema, table],
  );
  return queue ? (queue as unknown as RegisteredQueue) : null;
}

/** Splits `public."FreeTrials"` into its schema and its table, without quotes. */
function splitName(name: string): [schema: string, table: string] {
  const [, schema = 'public', table = name] = /^("[^"]+"|[^".]+)\.(.+)$/.exec(name) ?? [];
  return [unquoted(schema), unquoted(table)];
}

const unquoted = (name: string) => name.replace(/^"(.*)"$/, '$1');

/** Returns the columns that are the table's own, without the state and without what the engine keeps. */
export function ownColumns({ columns, queue }: Table, statusColumn: string): Column[] {
  const status = queue?.statusColumn ?? statusColumn;
  return columns.filter(({ name }) => !standardColumns.has(name) && name !== status);
}

/** Returns the columns that could say when a row is due, without those that say when it was written. */
export function dueCandidates(table: Table): string[] {
  return ownColumns(table, 'status')
    .filter(
      ({ type, name }) => type === 'timestamp with time zone' && !/^(created|updated|inserted)/.test(name),
    )
    .map(({ name }) => name);
}
