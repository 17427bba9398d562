import { readQueueSettings } from '@/lib/operate/queue-settings.ts';
import { readQueue, readTicks } from './queues.ts';
import { orNotFound, visitedServices } from './visited.ts';

/** The ticks that say how fast the queue is. */
const latestTicks = '20';

/** Reads a queue's settings, pauses and last ten acts, with its figures and its latest ticks. */
export async function readSettings(name: string) {
  const { rpc } = await visitedServices();
  const [settings, { queue, now }, ticks] = await Promise.all([
    orNotFound(() => readQueueSettings(rpc, name)),
    readQueue(name),
    readTicks(name, { idle: 'true', limit: latestTicks }),
  ]);
  return { settings, queue, now, ticks: ticks.items };
}
