import { z } from 'zod';

/** How many a list answers: `?limit=` 1 to 200, 50 if not given. */
export const listLimit = z
  .string()
  .regex(/^\d{1,3}$/, 'is no number from 1 to 200')
  .transform(Number)
  .refine((limit) => limit >= 1 && limit <= 200, 'is no number from 1 to 200')
  .default(50);
