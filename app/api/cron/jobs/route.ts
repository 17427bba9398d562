// Every minute, by vercel.json; with ?queue=failed as often as failed jobs are to be tried again.
import { jobs } from '@/lib/queues/jobs';
import { withFailedJobs } from '@/lib/server/failed-jobs-route';
import { partitionsRoute } from '@/lib/server/partitions-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = withFailedJobs(partitionsRoute(jobs, { maxDuration }), { maxDuration });
export const GET = tick;
export const POST = tick;
