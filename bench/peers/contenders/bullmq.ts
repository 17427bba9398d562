import { Queue, Worker } from 'bullmq';
import { addInChunks, type Contender, countingHandler, type Servers } from './contender.ts';

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
    enqueue: (count) =>
      addInChunks(
        count,
        2_000,
        (n) => ({ name: 'bench', data: { n } }),
        (jobs) => queue.addBulk(jobs),
      ),
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
