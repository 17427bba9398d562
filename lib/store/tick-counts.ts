import { z } from 'zod';

/** The ledger's counts of a tick. */
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
