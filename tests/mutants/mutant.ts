/** One edit to what is shipped, and the guarantee that goes with it. */
export interface Mutant {
  name: string;
  guarantee: string;
  file: string;
  /** Occurs exactly once. */
  find: string;
  replace: string;
  /** The test file that sees it, below `tests`, where the quick tier does not, or comes to it late: `real/blocking.real.test.ts`. */
  seenBy?: string;
}
