/** A broken invariant and its evidence. */
export interface Violation {
  invariant: string;
  details: string;
}
