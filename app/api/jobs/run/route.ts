import { runJobsRoute } from '@/lib/cron/run-jobs-route.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const POST = runJobsRoute({ maxDuration });
