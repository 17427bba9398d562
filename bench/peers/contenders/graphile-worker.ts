import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { addInChunks, type Contender, countingHandler, type Servers } from './contender.ts';

/** `concurrentJobs` and, at its best, a local queue and completion in batches: https://worker.graphile.org/docs/performance */
export async function graphileWorker(
  { databaseUrl }: Servers,
  { name, concurrentJobs, best }: { name: string; concurrentJobs: number; best: boolean },
): Promise<Contender> {
  const schema = `gw_${name.toLowerCase().replace(/\W+/g, '_')}`;
  const preset = {
    worker: {
      connectionString: databaseUrl,
      schema,
      concurrentJobs,
      maxPoolSize: Math.max(10, Math.min(concurrentJobs, 20)),
      ...(best && {
        localQueue: { size: Math.max(2 * concurrentJobs, 30) },
        completeJobBatchDelay: 20,
        failJobBatchDelay: 20,
      }),
    },
  };
  const utils = await makeWorkerUtils({
    connectionString: databaseUrl,
    schema,
    logger: new Logger(() => () => {}),
  });
  await utils.migrate();
  return {
    name,
    guarantees: 'at least once',
    enqueue: (count) =>
      addInChunks(
        count,
        5_000,
        (n) => ({ identifier: 'bench', payload: { n } }),
        (jobs) => utils.addJobs(jobs),
      ),
    async drain(count, handler) {
      const { handle, all } = countingHandler(count, handler);
      const runner = await run({
        preset,
        taskList: { bench: () => handle() },
        noHandleSignals: true,
        logger: new Logger(() => () => {}),
      });
      await all;
      // Waits until completed jobs are recorded.
      await runner.stop();
    },
    close: async () => {
      await utils.release();
    },
  };
}
