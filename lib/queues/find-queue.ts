import type { NotConfiguredError, Queue } from '../engine/queue.ts';
import type { ServerEnv } from '../services/env.ts';
import { isError } from '../services/is-error.ts';

/** A queue with rows of any type. */
// biome-ignore lint/suspicious/noExplicitAny: each queue has its own Row and Deps
export type AnyQueue = Queue<any, any, ServerEnv>;

/** Returns a queue's name as it is written in paths. */
export const pathName = (queue: string) => queue.replaceAll('_', '-');

/** Finds a queue by its name in the registry or in paths; null if there is none. */
export function findQueue(name: string, queues: readonly AnyQueue[]): AnyQueue | null {
  return queues.find((queue) => queue.name === name || pathName(queue.name) === name) ?? null;
}

/** Returns the error that keeps the queue from running, or null. If its `variables` are empty, the queue's code is wrong. */
export function missingSettings(queue: AnyQueue, env: ServerEnv): NotConfiguredError | null {
  try {
    queue.connect(env);
    return null;
  } catch (error) {
    if (isError(error, 'NotConfiguredError')) return error;
    throw error;
  }
}
