import type { Jobs } from '../jobs/find-job.ts';
import type { AnyQueue } from './find-queue.ts';
import { type JobCreator, jobCreator } from './jobs/create-job.ts';
import { jobsQueue } from './jobs/queue.ts';
import { registerApp } from './registered-app.ts';

/** An app's queues and jobs, with typed functions that create jobs. */
export interface Punctual<Known extends Jobs = Jobs> extends JobCreator<Known> {
  /** The app's queues, and `jobs` if it has any. */
  queues: readonly AnyQueue[];
  jobs: Known;
}

/**
 * Defines which queues and jobs this app has. Call it once, in a file of its own that routes, pages and the worker import. Throws an error if two
 * queues have one name.
 */
export function definePunctual<const Known extends Jobs = Record<never, never>>({
  queues = [],
  jobs,
}: {
  queues?: readonly AnyQueue[];
  /** Job handlers by name. */
  jobs?: Known;
}): Punctual<Known> {
  const known = jobs ?? ({} as Known);
  const all = jobs ? [...queues, jobsQueue(known)] : queues;
  const names = all.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`definePunctual: two queues are named ${twice}; names are unique`);
  registerApp({ queues: all, jobs: known });
  return { queues: all, jobs: known, ...jobCreator<Known>() };
}
