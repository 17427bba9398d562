/** A promise that was not kept, and how one sees it. */
export interface Violation {
  invariant: string;
  details: string;
}
