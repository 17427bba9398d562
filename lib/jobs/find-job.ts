import type { Job } from './define-job';

/** Jobs by their names. */
export type Jobs = Readonly<Record<string, Job>>;

/** The code of jobs of that name; else why there is none, for people. */
export function findJob(jobs: Jobs, name: string): { job: Job } | { missing: string } {
  const job = Object.hasOwn(jobs, name) ? jobs[name] : undefined;
  if (job) return { job };
  const known = Object.keys(jobs).join(', ') || 'none';
  return { missing: `this deployment has no job "${name.slice(0, 100)}"; it has ${known}` };
}
