import { bulkRoute } from '@/lib/http/bulk-route.ts';
import { enqueueJobs } from '@/lib/queues/jobs/new-jobs.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** Creates jobs: see `bulkRoute`. */
export const POST = bulkRoute('nothing was created', ({ services: { rpc, env }, body }) =>
  enqueueJobs({ rpc, env }, body),
);
