import type { Column } from './table.ts';

/** How a column of a type arrives in a handler: as JSON. `z.guid` takes every uuid of Postgres, `z.uuid` only those of a version. */
const schemas: Record<string, string> = {
  smallint: 'z.number()',
  integer: 'z.number()',
  bigint: 'z.number()',
  numeric: 'z.number()',
  real: 'z.number()',
  'double precision': 'z.number()',
  boolean: 'z.boolean()',
  text: 'z.string()',
  'character varying': 'z.string()',
  character: 'z.string()',
  citext: 'z.string()',
  inet: 'z.string()',
  interval: 'z.string()',
  'time without time zone': 'z.string()',
  uuid: 'z.guid()',
  date: 'z.iso.date()',
  'timestamp with time zone': 'z.iso.datetime({ offset: true })',
  'timestamp without time zone': 'z.iso.datetime({ local: true })',
  json: 'z.unknown()',
  jsonb: 'z.unknown()',
};

/** Returns the lines of a zod object for these columns, each with its indentation. */
export function rowSchema(columns: Column[]): string[] {
  return columns.map((column) => `  ${keyOf(column.name)}: ${schemaOf(column)},`);
}

function schemaOf({ type, words, isNullable }: Column): string {
  const element = type.endsWith('[]') ? type.slice(0, -2) : null;
  const one =
    words.length > 0
      ? `z.enum([${words.map(quote).join(', ')}])`
      : (schemas[element ?? type] ?? 'z.unknown()');
  const schema = element === null ? one : `z.array(${one})`;
  return isNullable && schema !== 'z.unknown()' ? `${schema}.nullable()` : schema;
}

const keyOf = (name: string) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : quote(name));

/** A literal with single quotes. */
export const quote = (text: string) =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
