// Every minute in Frankfurt, by vercel.json.
import { cronRoute } from 'punctual/next';
import { monitors } from 'punctual/queues';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

export const { GET, POST } = cronRoute(monitors, { maxDuration, partition: 'fra1' });
