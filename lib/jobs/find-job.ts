import type { Job } from './define-job.ts';

/** Jobs by name. */
export type Jobs = Readonly<Record<string, Job>>;

/** Returns the job of that name, or why there is none, in words for a person. */
export function findJob(jobs: Jobs, name: string): { job: Job } | { missing: string } {
  const job = Object.hasOwn(jobs, name) ? jobs[name] : undefined;
  if (job) return { job };
  const known = Object.keys(jobs).join(', ') || 'none';
  return { missing: `this deployment has no job "${name.slice(0, 100)}"; it has ${known}` };
}
