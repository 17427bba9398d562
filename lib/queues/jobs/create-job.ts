import type { z } from 'zod';
import { ValidationError } from '../../http/http-error.ts';
import type { InsertedRow } from '../../http/input/insert-many.ts';
import type { Jobs } from '../../jobs/find-job.ts';
import { getServices, type Services } from '../../services/services.ts';
import { JobInputError } from './job-input-error.ts';
import { enqueueJobs } from './new-jobs.ts';

interface JobSettings {
  /** `default` by default. A new queue is created with the settings of `default`. */
  queue?: string;
  /** Now by default. A text is ISO 8601 with an offset. */
  run_at?: Date | string;
  /** 0 runs first, 3 last. 1 by default. */
  priority?: 0 | 1 | 2 | 3;
  /** While a job of this name has this key, no other is created with it. */
  unique_key?: string;
  /** How long the key holds, from the job's creation. Until the job is deleted by default. */
  unique_seconds?: number;
  max_attempts?: number;
  /** At most the queue's. */
  timeout_seconds?: number;
  /** The job does not start after this. */
  expires_at?: Date | string;
}

/** The payload that a job of that name is created with. */
type JobPayload<Known extends Jobs, Name extends keyof Known> = z.input<Known[Name]['payload']>;

export type JobOptions<Known extends Jobs, Name extends keyof Known> = JobSettings &
  (Record<string, never> extends JobPayload<Known, Name>
    ? { payload?: JobPayload<Known, Name> }
    : { payload: JobPayload<Known, Name> });

export type NewJob<Known extends Jobs> = {
  [Name in keyof Known]: { name: Name } & JobOptions<Known, Name>;
}[keyof Known];

export interface JobCreator<Known extends Jobs> {
  /**
   * Creates a job for a handler of the app. If a job of this name already has the `unique_key`, returns that job with `created` false. Throws a
   * `JobInputError` with the faults of the input, or a `StoreError`.
   */
  createJob<Name extends keyof Known & string>(
    name: Name,
    options: JobOptions<Known, Name>,
    server?: Pick<Services, 'rpc'>,
  ): Promise<InsertedRow>;
  /** Creates up to 1,000 jobs, all or none, and returns them in order. Throws like `createJob`; each fault has its job's index. */
  createJobs(newJobs: readonly NewJob<Known>[], server?: Pick<Services, 'rpc'>): Promise<InsertedRow[]>;
}

/** Returns the functions that create jobs, with the types of these handlers. */
export function jobCreator<Known extends Jobs>(): JobCreator<Known> {
  return {
    async createJob(name, options, server) {
      const [created] = await create({ ...withInstants(options), name }, server);
      return created as InsertedRow;
    },
    createJobs: (newJobs, server) => create(newJobs.map(withInstants), server),
  };
}

async function create(body: object, server: Pick<Services, 'rpc'> | undefined): Promise<InsertedRow[]> {
  const { rpc } = server ?? (await getServices());
  try {
    return (await enqueueJobs({ rpc }, body)).rows;
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    throw new JobInputError(
      error.errors.map(({ index = null, ...fault }) => ({
        ...fault,
        index: Array.isArray(body) ? index : null,
      })),
    );
  }
}

function withInstants<Options extends Pick<JobSettings, 'run_at' | 'expires_at'>>(options: Options): Options {
  return { ...options, run_at: toInstant(options.run_at), expires_at: toInstant(options.expires_at) };
}

/** Keeps an invalid date as text, so that it is refused like any other invalid text. */
function toInstant(at: Date | string | undefined): string | undefined {
  return at instanceof Date && !Number.isNaN(at.getTime()) ? at.toISOString() : at?.toString();
}
