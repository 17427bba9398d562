// Every minute, by vercel.json.
import { pgmq } from '@/lib/queues/pgmq';
import { partitionsRoute } from '@/lib/server/partitions-route';
import { json } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 60;

const ticks = partitionsRoute(pgmq, { maxDuration });
const note = `no message queue was added yet: select punctual.add_message_queue('…'); docs/pgmq.md says more`;

/** A project without Supabase Queues is as it should be, and its clock need not hear of a fault. */
async function tick(request: Request): Promise<Response> {
  const answer = await ticks(request);
  const isNamed = new URL(request.url).searchParams.has('queue');
  return answer.status === 404 && !isNamed ? json(200, { reports: [], left: [], note }) : answer;
}

export const GET = tick;
export const POST = tick;
