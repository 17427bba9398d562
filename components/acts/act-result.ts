/** What an act did, or why nothing was done, in words for people. */
export type ActResult = { done: string } | { failure: string };
