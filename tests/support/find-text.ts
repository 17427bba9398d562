import type { TestDatabase } from './test-database.ts';

/**
 * Returns every column of the schema that contains `text` in any row, as `receipts.body`. It searches columns of every type, and skips the
 * templates, which hold no data.
 */
export async function findText(database: TestDatabase, text: string): Promise<string[]> {
  const columns: { table: string; column: string }[] = await database.sql(
    `select c.table_name as table, c.column_name as column from information_schema.columns c
       join information_schema.tables t using (table_schema, table_name)
      where c.table_schema = 'punctual' and c.table_name <> 'templates' and t.table_type = 'BASE TABLE' order by 1, 2`,
  );
  const [{ found }] = await database.sql(
    `select coalesce(jsonb_agg(f.place order by f.place), '[]') as found from (${columns
      .map(
        ({ table, column }) =>
          `select '${table}.${column}' as place where exists (select from punctual."${table}" x where strpos(lower(x."${column}"::text), lower($1)) > 0)`,
      )
      .join(' union all ')}) f`,
    [text],
  );
  return found;
}
