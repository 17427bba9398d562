// The package's main entry point, `punctual`: what an app's own queues and jobs need.
export { again, dead, done, type Outcome, retry, unknown } from './engine/outcome.ts';
export { StoreError } from './engine/ports/store-error.ts';
export {
  defineQueue,
  NotConfiguredError,
  type PerformContext,
  type Queue,
  type QueueDefinition,
  type ReconcileContext,
} from './engine/queue.ts';
export { defineJob, type Job, type JobContext } from './jobs/define-job.ts';
export { JobError } from './jobs/job-error.ts';
export { SignatureError, verifySignature } from './jobs/signature.ts';
export { type HttpRequest, type HttpResponse, ProviderError, request } from './net/http.ts';
export { definePunctual, type Punctual } from './queues/define-punctual.ts';
export { getJob, type StoredJob } from './queues/jobs/get-job.ts';
export { JobInputError } from './queues/jobs/job-input-error.ts';
