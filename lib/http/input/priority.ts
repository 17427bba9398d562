import { z } from 'zod';

/** The order of due rows: 0 first, then 1 (the default), 2 and 3. */
export const priority = z.int().min(0).max(3).describe('0 (first) to 3 (last); default 1.');
