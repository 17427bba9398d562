import { Queue, Worker } from 'bullmq';
import { addInChunks, type Contender, countingHandler, type Servers, timeStarts } from './contender.ts';

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
    async startTimes(count, everyMs) {
      const worker = new Worker(queueName, async ({ data }) => starts.started(data.n), {
        connection,
        concurrency,
      });
      await worker.waitUntilReady();
      const starts = timeStarts(count, everyMs, (n) => queue.add('start', { n }));
      const times = await starts.times;
      await worker.close();
      return times;
    },
    close: async () => {
      await queue.close();
    },
  };
}
