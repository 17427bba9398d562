import { z } from 'zod';

/** 0 goes before 1 (the default), 1 before 2, 2 before 3. */
export const priority = z.int().min(0).max(3);
