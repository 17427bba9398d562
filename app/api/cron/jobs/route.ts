// Every minute, by vercel.json; with ?queue=failed as often as failed jobs are to be tried again.
import { after } from 'next/server';
import { partQuery, workRoute } from '@/lib/cron/cron-route';
import { withFailedJobs } from '@/lib/cron/handlers/failed-jobs-work';
import { partitionsWork } from '@/lib/cron/handlers/partitions-work';
import { jobs } from '@/lib/queues/jobs/queue';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const tick = workRoute(withFailedJobs(partitionsWork(jobs)), { maxDuration, after, query: partQuery });
export const GET = tick;
export const POST = tick;
