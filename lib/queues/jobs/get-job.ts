import { z } from 'zod';
import { rowId } from '../../http/input/row-id';
import { getServices, type Services } from '../../services/services';

const keptJob = z.object({
  id: z.string(),
  name: z.string(),
  queue: z.string(),
  /** `unknown` only by an operator's hand. */
  status: z.enum(['pending', 'running', 'done', 'failed', 'unknown', 'cancelled']),
  payload: z.unknown(),
  run_at: z.string(),
  priority: z.number(),
  attempts: z.number(),
  /** Its own, or its queue's. */
  max_attempts: z.number(),
  timeout_seconds: z.number(),
  /** What its handler last said of how far it is. */
  progress: z.unknown(),
  /** What its handler returned; `{ omitted }` says why that was not kept. */
  result: z.unknown(),
  last_error: z.string().nullable(),
  unique_key: z.string().nullable(),
  created_at: z.string(),
  /** When its latest attempt was claimed. */
  started_at: z.string().nullable(),
  finished_at: z.string().nullable(),
});

export type KeptJob = z.infer<typeof keptJob>;

/** A job as it stands; null where there is none of that id, or none any more. Throws a `StoreError`. */
export async function getJob(id: string, server?: Pick<Services, 'rpc'>): Promise<KeptJob | null> {
  const known = rowId.safeParse(id);
  if (!known.success) return null;
  const { rpc } = server ?? (await getServices());
  return keptJob.nullable().parse(await rpc('read_job', { p_id: known.data }));
}
