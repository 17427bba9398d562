import { ValidationError } from '../http/http-error.ts';
import type { InsertedRow } from '../http/input/insert-many.ts';
import type { Jobs } from '../jobs/find-job.ts';
import { enqueueDms } from '../queues/dm-queue/new-dms.ts';
import { enqueueHandlerJobs } from '../queues/jobs/job-input.ts';
import { insertPosts } from '../queues/posts/new-posts.ts';
import type { Rpc } from '../store/rpc.ts';
import { rpcOver, type SupabaseLike } from '../store/supabase-rpc.ts';
import type { Create, HandlerJobInput, NewRow } from './api-types.ts';
import { PunctualError } from './punctual-error.ts';

export interface SupabaseClientOptions<Known extends Jobs> {
  /** The app's job handlers. With them, a job's name and payload are checked before it is stored. */
  jobs?: Known;
}

/** The addresses themselves are checked when a tick fetches the media. */
const urlGuard = {
  faultOf({ protocol, username, password }: URL): string | null {
    if (protocol !== 'http:' && protocol !== 'https:') return 'it is neither http nor https';
    return username || password ? 'it contains credentials' : null;
  },
};

/**
 * Returns functions that create rows over a Supabase client, where no app serves the API. They call the same SQL functions after the same checks. The
 * client's role must be allowed to call them, as the service role is, and the Data API must expose the schema `punctual`. Throws a `PunctualError`
 * with the status that the API would have answered.
 */
export function supabaseClient<Known extends Jobs = Jobs>(
  supabase: SupabaseLike,
  { jobs }: SupabaseClientOptions<Known> = {},
) {
  const rpc = rpcOver(supabase);
  const create = <Row>(insert: (rpc: Rpc, body: unknown) => Promise<{ rows: InsertedRow[] }>) =>
    (async (rows: Row | readonly Row[]) => {
      const inserted = await insert(rpc, toJson(rows)).catch((error) => {
        throw asPunctualError(error);
      });
      return Array.isArray(rows) ? inserted.rows : inserted.rows[0];
    }) as Create<Row>;
  return {
    jobs: {
      create: create<HandlerJobInput<Known>>((_, body) => enqueueHandlerJobs(rpc, jobs ?? null, body)),
    },
    dms: { enqueue: create<NewRow<'POST /dms'>>(enqueueDms) },
    posts: { create: create<NewRow<'POST /posts'>>((_, body) => insertPosts(rpc, urlGuard, body)) },
  };
}

/** As it would arrive over HTTP: a `Date` becomes its text, and undefined fields go. */
function toJson(rows: unknown): unknown {
  return JSON.parse(JSON.stringify(rows) ?? 'null');
}

function asPunctualError(error: unknown): unknown {
  if (error instanceof ValidationError)
    return new PunctualError(error.status, error.kind, error.message, { errors: error.errors, cause: error });
  const { name, kind, message } = error as { name?: string; kind?: string; message: string };
  return name === 'StoreError'
    ? new PunctualError(503, `database_${kind}`, message, { cause: error })
    : error;
}
