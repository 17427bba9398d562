import { z } from 'zod';

/** A queue's name as it stands in a path; what has another form is the name of none. */
export const queueName = z.string().regex(/^[a-z][a-z0-9_]{0,39}$/);

/** A row's id as it stands in a path. SQL knows which form its queue's have; whole numbers are made plain (`007` is 7). */
export const rowId = z
  .string()
  .regex(/^[\w.:-]{1,100}$/)
  .transform((id) => (/^\d+$/.test(id) ? String(BigInt(id)) : id));
