import { z } from 'zod';

/** The counts of a tick, as the ledger has them. */
export const tickCounts = z.object({
  claimed: z.number(),
  done: z.number(),
  retried: z.number(),
  again: z.number(),
  dead: z.number(),
  unknown: z.number(),
  released: z.number(),
  lost: z.number(),
  swept: z.number(),
});
