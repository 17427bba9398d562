// Every minute, by vercel.json. Call it with ?partition=failed as often as failed jobs should run again.

import { cronRoute } from 'punctual/next';
import { jobsQueue } from 'punctual/queues';
import { handlers } from '@/jobs/handlers.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const { GET, POST } = cronRoute(jobsQueue(handlers), { maxDuration });
