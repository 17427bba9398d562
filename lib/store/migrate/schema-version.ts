/** The version of Punctual's latest migration, which this code needs. A test compares it with the folder. */
export const schemaVersion = '20261201140205';

/** The error code that the SQL function `require_schema` raises if the database lacks migrations. */
export const schemaBehindCode = 'PT412';

/** Compares a database's schema with the one that this code needs. Null is a schema from before versions were recorded. */
export function schemaState(version: string | null): 'ok' | 'behind' | 'ahead' {
  if (version === schemaVersion) return 'ok';
  return version === null || version < schemaVersion ? 'behind' : 'ahead';
}
