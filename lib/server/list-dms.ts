import { z } from 'zod';
import { type ListedRow, listedRowSchema } from '../store/listed-row';
import type { Rpc } from '../store/rpc';
import { type DmStatus, dmStates } from './dm-states';

const asked = z.object({
  status: z.enum(Object.keys(dmStates) as [DmStatus, ...DmStatus[]]),
  limit: z
    .string()
    .regex(/^\d{1,3}$/, 'is no number from 1 to 200')
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 200, 'is no number from 1 to 200')
    .default(50),
});

/**
 * Messages of one status, oldest first; of the unknown ones those first that wait for a person. `query` bears `status`, and `limit` (1
 * to 200, 50 if not given). Throws a `StoreError`.
 */
export async function listDms(
  rpc: Rpc,
  query: URLSearchParams,
): Promise<{ rows: ListedRow[] } | { errors: { field: string; message: string }[] }> {
  const parsed = asked.safeParse(Object.fromEntries(query));
  if (!parsed.success) {
    return {
      errors: parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), message: issue.message })),
    };
  }
  const { status, limit } = parsed.data;
  const rows = await rpc('list_rows', { p_queue: 'dm_queue', p_state: dmStates[status], p_limit: limit });
  return { rows: z.array(listedRowSchema).parse(rows) };
}
