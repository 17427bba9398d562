import type { StoreErrorKind } from '../engine/ports/store-error.ts';

/** Maps a SQLSTATE or PostgREST code to a kind. Sources: PostgreSQL appendix A; PostgREST's error reference. */
export function storeErrorKind(code: string | null): StoreErrorKind {
  if (!code) return 'unavailable';
  // The function or schema is missing, behind, not exposed, or forbidden to us; or the key is wrong.
  if (/^(PGRST(106|20[0-9]|30[0-9])|42883|42P01|3F000|42501|28\w{3}|PT404|PT412)$/.test(code))
    return 'misconfigured';
  // Connections, resources, shutdown, timeouts, deadlocks: a later call may succeed.
  if (/^(PGRST00[0-9]|08\w{3}|53\w{3}|57\w{3}|58\w{3}|40\w{3}|55P03|25006|XX000)$/.test(code))
    return 'unavailable';
  return 'refused';
}
