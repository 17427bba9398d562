import pLimit from 'p-limit';
import type { Contender } from './contender.ts';

/** No queue at all: the floor of what a bounded number of slots costs. */
export async function barePLimit(concurrency: number): Promise<Contender> {
  return {
    name: 'bare p-limit',
    guarantees: 'none: it is no queue',
    enqueue: async () => {},
    async drain(count, handler) {
      const limit = pLimit(concurrency);
      await Promise.all(Array.from({ length: count }, () => limit(async () => handler())));
    },
    close: async () => {},
  };
}
