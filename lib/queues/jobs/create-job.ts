import { ValidationError } from '../../http/http-error';
import type { InsertedRow } from '../../http/input/insert-many';
import type { JobName, JobPayload } from '../../jobs/job-name';
import { getServices, type Services } from '../../services/services';
import { JobInputError } from './job-input-error';
import { enqueueJobs } from './new-jobs';

interface JobSettings {
  /** `default` if not given. One that there is not is made, with the settings of `default`. */
  queue?: string;
  /** Now, if not given. A text is ISO 8601 with an offset. */
  run_at?: Date | string;
  /** 0 goes before 1 (the default), 1 before 2, 2 before 3. */
  priority?: 0 | 1 | 2 | 3;
  /** While one job of this name has it, no other is created. */
  unique_key?: string;
  /** For so long from its creation; as long as it is kept, if not given. */
  unique_seconds?: number;
  max_attempts?: number;
  /** Shorter than the queue's. */
  timeout_seconds?: number;
  /** Not run after this. */
  expires_at?: Date | string;
}

export type JobOptions<Name extends JobName> = JobSettings &
  (Record<string, never> extends JobPayload<Name>
    ? { payload?: JobPayload<Name> }
    : { payload: JobPayload<Name> });

export type NewJob = { [Name in JobName]: { name: Name } & JobOptions<Name> }[JobName];

/**
 * Creates a job of one of the files in `lib/jobs/handlers`; `created` is false where one of this name and `unique_key` was there. Throws a
 * `JobInputError` with what is wrong, or a `StoreError`.
 */
export async function createJob<Name extends JobName>(
  name: Name,
  options: JobOptions<Name>,
  server?: Pick<Services, 'rpc'>,
): Promise<InsertedRow> {
  const [created] = await create({ ...withInstants(options), name }, server);
  return created as InsertedRow;
}

/** Up to 1,000 jobs, all or none, answered in their order. Throws as `createJob` does; its faults bear the index of their job. */
export async function createJobs(
  newJobs: readonly NewJob[],
  server?: Pick<Services, 'rpc'>,
): Promise<InsertedRow[]> {
  return create(newJobs.map(withInstants), server);
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

/** An invalid date stays what it is, to be refused as any other text. */
function toInstant(at: Date | string | undefined): string | undefined {
  return at instanceof Date && !Number.isNaN(at.getTime()) ? at.toISOString() : at?.toString();
}
