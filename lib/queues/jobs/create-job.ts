import type { z } from 'zod';
import { ValidationError } from '../../http/http-error.ts';
import type { InsertedRow } from '../../http/input/insert-many.ts';
import type { jobMethods } from '../../jobs/call-url.ts';
import type { Jobs } from '../../jobs/find-job.ts';
import { getServices, type Services } from '../../services/services.ts';
import { JobInputError } from './job-input-error.ts';
import { enqueueJobs } from './new-jobs.ts';
import type { JobEnv } from './queue.ts';

interface JobSettings {
  /** `default` by default. A new queue is created with the settings of `default`. */
  queue?: string;
  /** Now by default. A text is ISO 8601 with an offset. */
  run_at?: Date | string;
  /** 0 runs first, 3 last. 1 by default. */
  priority?: 0 | 1 | 2 | 3;
  /** While a job of this name, or of this method and URL, has this key, no other is created with it. */
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

/** A job that calls a URL, signed, instead of a handler. */
export interface UrlJob extends JobSettings {
  /** `https://`, at a public address. `MONITOR_ALLOW_PRIVATE` lists exceptions. */
  url: string;
  /** `POST` by default. */
  method?: (typeof jobMethods)[number];
  /** Up to 50, and 8,000 characters in all. Lists, pages and logs never show their values. */
  headers?: Record<string, string>;
  /** The body, as JSON. GET has none. */
  payload?: unknown;
}

export type NewJob<Known extends Jobs> =
  | { [Name in keyof Known]: { name: Name } & JobOptions<Known, Name> }[keyof Known]
  | UrlJob;

/** What creates jobs. Without `env` no job may call a URL. */
type JobServer = Pick<Services, 'rpc'> & { env?: JobEnv };

export interface JobCreator<Known extends Jobs> {
  /**
   * Creates a job for a handler of the app, or one that calls a URL. If a job of this name, or of this method and URL, already has the
   * `unique_key`, returns that job with `created` false. Throws a `JobInputError` with the faults of the input, a `StoreError`, or a
   * `NotConfiguredError` for a URL without `JOB_SIGNING_SECRET`.
   */
  createJob(job: UrlJob, server?: JobServer): Promise<InsertedRow>;
  createJob<Name extends keyof Known & string>(
    name: Name,
    options: JobOptions<Known, Name>,
    server?: JobServer,
  ): Promise<InsertedRow>;
  /** Creates up to 1,000 jobs, all or none, and returns them in order. Throws like `createJob`; each fault has its job's index. */
  createJobs(newJobs: readonly NewJob<Known>[], server?: JobServer): Promise<InsertedRow[]>;
}

/** Returns the functions that create jobs, with the types of these handlers. */
export function jobCreator<Known extends Jobs>(): JobCreator<Known> {
  return {
    async createJob(
      target: string | UrlJob,
      ...more: [options: JobSettings, server?: JobServer] | [server?: JobServer]
    ) {
      const [options, server] =
        typeof target === 'string'
          ? [{ ...(more[0] as JobSettings), name: target }, more[1]]
          : [target, more[0] as JobServer | undefined];
      const [created] = await create(withInstants(options), server);
      return created as InsertedRow;
    },
    createJobs: (newJobs, server) => create(newJobs.map(withInstants), server),
  };
}

async function create(body: object, server: JobServer | undefined): Promise<InsertedRow[]> {
  const { rpc, env } = server ?? (await getServices());
  try {
    return (await enqueueJobs({ rpc, env }, body)).rows;
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
