/** Sequences on one page. Each costs a read of its whole funnel. */
export const SEQUENCES_SHOWN = 10;
