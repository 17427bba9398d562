// Every minute, by vercel.json. Ticks the default region, in the region where the project's functions run.
import { cronRoute } from 'punctual/next';
import { monitors } from 'punctual/queues';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const { GET, POST } = cronRoute(monitors, { maxDuration });
