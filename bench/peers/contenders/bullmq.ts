import { Queue, Worker } from 'bullmq';
import { type Contender, countingHandler, type Servers } from './contender.ts';

/** One worker at `concurrency`. Redis without persistence. */
export async function bullmq(
  { redisPort }: Servers,
  { name, concurrency }: { name: string; concurrency: number },
): Promise<Contender> {
  const connection = { host: '127.0.0.1', port: redisPort, maxRetriesPerRequest: null };
  const queueName = name.replace(/\W+/g, '-');
  const queue = new Queue(queueName, { connection, defaultJobOptions: { removeOnComplete: true } });
  await queue.waitUntilReady();
  return {
    name,
    guarantees: 'at least once; nothing survives a loss of Redis',
    async enqueue(count) {
      for (let added = 0; added < count; added += 2_000)
        await queue.addBulk(
          Array.from({ length: Math.min(2_000, count - added) }, (_, n) => ({
            name: 'bench',
            data: { n: added + n },
          })),
        );
    },
    async drain(count, handler) {
      const { handle, all } = countingHandler(count, handler);
      const worker = new Worker(queueName, async () => handle(), { connection, concurrency });
      await all;
      await worker.close();
    },
    close: async () => {
      await queue.close();
    },
  };
}
