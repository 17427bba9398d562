// Every minute, by vercel.json.

import { cronRoute } from 'punctual/next';
import { messageQueue } from 'punctual/queues';
import { handlers } from '@/jobs/handlers.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const { GET, POST } = cronRoute(messageQueue(handlers), { maxDuration });
