/** One edit to the code or its SQL, and the guarantee that it breaks. */
export interface Mutant {
  name: string;
  guarantee: string;
  file: string;
  /** Occurs exactly once. */
  find: string;
  replace: string;
  /** The test file that catches it, below `tests`: `sql/settle.test.ts`. Without it the likely tests run first, then the whole quick tier. */
  seenBy?: string;
}
