// Every minute, by vercel.json.
import { cronRoute } from 'punctual/next';
import { dmQueue } from 'punctual/queues';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const { GET, POST } = cronRoute(dmQueue, { maxDuration });
