import type { NotConfiguredError, Queue } from '../engine/queue';
import { isError } from '../http/error-response';
import type { ServerEnv } from '../services/env';

/** A queue whatever its rows are. */
// biome-ignore lint/suspicious/noExplicitAny: each queue has its own types of row and deps
export type AnyQueue = Queue<any, any, ServerEnv>;

/** How a queue's endpoint ticks its partitions. */
export interface ScheduledQueue {
  queue: AnyQueue;
  /** `main`: there is one. `named`: each has an endpoint of its own. `due`: one endpoint ticks all that have something due. */
  parts: 'main' | 'named' | 'due';
  /** What is answered as long as the database does not know the queue. */
  whereNone?: string;
}

/** A queue's name as paths spell it. */
export const pathName = (queue: string) => queue.replaceAll('_', '-');

/** The queue of that name, as in the registry or as in paths. */
export function findQueue(name: string, queues: readonly ScheduledQueue[]): ScheduledQueue | null {
  return queues.find(({ queue }) => queue.name === name || pathName(queue.name) === name) ?? null;
}

/** What has to be set before the queue can run; null where nothing has. Throws what else its `connect` throws. */
export function missingSettings(queue: AnyQueue, env: ServerEnv): NotConfiguredError | null {
  try {
    queue.connect(env);
    return null;
  } catch (error) {
    if (isError(error, 'NotConfiguredError')) return error;
    throw error;
  }
}
