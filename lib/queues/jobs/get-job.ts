import { z } from 'zod';
import { rowId } from '../../http/input/row-id.ts';
import { getServices, type Services } from '../../services/services.ts';

export const storedJob = z.object({
  id: z.string(),
  /** Of a job that calls a URL: its method and the URL without its query. */
  name: z.string(),
  /** The call of a job with a URL; null for a handler's. The values of headers and of the query are hidden as `***`. */
  request: z
    .object({ method: z.string(), url: z.string(), headers: z.record(z.string(), z.string()) })
    .nullable(),
  queue: z.string(),
  status: z
    .enum(['pending', 'running', 'done', 'failed', 'unknown', 'cancelled'])
    .describe('`unknown` only if an operator set it.'),
  payload: z.unknown(),
  run_at: z.string(),
  priority: z.number(),
  attempts: z.number(),
  max_attempts: z.number().describe("The job's own, or else its queue's."),
  timeout_seconds: z.number(),
  progress: z.unknown().describe('The latest progress that its handler reported.'),
  result: z.unknown().describe('The return value of its handler. `{ omitted }` says why it was not stored.'),
  last_error: z.string().nullable(),
  unique_key: z.string().nullable(),
  created_at: z.string(),
  started_at: z.string().nullable().describe('When the latest attempt was claimed.'),
  finished_at: z.string().nullable(),
});

export type StoredJob = z.infer<typeof storedJob>;

/** Reads a job; null if there is none with that id, or it was deleted. Throws a `StoreError`. */
export async function getJob(id: string, server?: Pick<Services, 'rpc'>): Promise<StoredJob | null> {
  const parsed = rowId.safeParse(id);
  if (!parsed.success) return null;
  const { rpc } = server ?? (await getServices());
  return storedJob.nullable().parse(await rpc('read_job', { p_id: parsed.data }));
}
