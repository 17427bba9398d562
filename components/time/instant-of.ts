/** Reads the value of an `InstantField`: one without a zone is UTC. */
export function instantOf(value: string): string {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(value) ? `${value.padEnd(19, ':00')}Z` : value;
}
