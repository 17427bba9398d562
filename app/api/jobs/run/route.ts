import { runJobsRoute } from '@/lib/server/run-jobs-route';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const POST = runJobsRoute({ maxDuration });
