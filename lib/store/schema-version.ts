/** The version of the latest of Punctual's own migrations: what this code needs of the database. A test compares it with the folder. */
export const schemaVersion = '20261122001900';

/** What a database that lacks migrations is refused with, as the SQL function `require_schema` raises it. */
export const schemaBehindCode = 'PT412';

/** How a database's schema stands to this code. Null is one from before schemas said their version. */
export function schemaState(version: string | null): 'ok' | 'behind' | 'ahead' {
  if (version === schemaVersion) return 'ok';
  return version === null || version < schemaVersion ? 'behind' : 'ahead';
}
