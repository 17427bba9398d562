// Every minute, by vercel.json; with ?queue=failed as often as failed jobs are to be tried again.
import { after } from 'next/server';
import { jobs } from '@/lib/queues/jobs/queue';
import { partQuery, workRoute } from '@/lib/server/cron-route';
import { withFailedJobs } from '@/lib/server/failed-jobs-work';
import { partitionsWork } from '@/lib/server/partitions-work';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = workRoute(withFailedJobs(partitionsWork(jobs)), { maxDuration, after, query: partQuery });
export const GET = tick;
export const POST = tick;
