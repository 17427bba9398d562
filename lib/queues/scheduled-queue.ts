import type { NotConfiguredError, Queue } from '../engine/queue';
import type { ServerEnv } from '../services/env';
import { isError } from '../services/is-error';

/** A queue whatever its rows are. */
// biome-ignore lint/suspicious/noExplicitAny: each queue has its own types of row and deps
export type AnyQueue = Queue<any, any, ServerEnv>;

/** How a queue's endpoint ticks its partitions. */
export interface ScheduledQueue {
  queue: AnyQueue;
  /** `main`: there is one. `named`: each has an endpoint of its own. `due`: one endpoint ticks all that have something due. */
  partitions: 'main' | 'named' | 'due';
  /** What is answered as long as the database does not know the queue. */
  whereNone?: string;
}

/** A queue's name as paths spell it. */
export const pathName = (queue: string) => queue.replaceAll('_', '-');

/** The queue of that name, as in the registry or as in paths. */
export function findQueue(name: string, queues: readonly ScheduledQueue[]): ScheduledQueue | null {
  return queues.find(({ queue }) => queue.name === name || pathName(queue.name) === name) ?? null;
}

/** Why the queue cannot run: what has to be set or, where `variables` is empty, what is wrong with its code. Null where it can. */
export function missingSettings(queue: AnyQueue, env: ServerEnv): NotConfiguredError | null {
  try {
    queue.connect(env);
    return null;
  } catch (error) {
    if (isError(error, 'NotConfiguredError')) return error;
    throw error;
  }
}
