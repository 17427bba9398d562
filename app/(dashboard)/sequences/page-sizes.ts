/** As many as one page shows. Of each sequence the whole funnel is read. */
export const SEQUENCES_SHOWN = 10;
