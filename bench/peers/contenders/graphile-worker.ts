import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { addInChunks, type Contender, countingHandler, type Servers, timeStarts } from './contender.ts';

/** A local queue and completion in batches are what its documentation advises: https://worker.graphile.org/docs/performance */
export interface GraphileSetting {
  concurrentJobs: number;
  /** Jobs that are fetched ahead. */
  localQueue?: number;
  /** How long a completion waits for others, in milliseconds. */
  batchDelayMs?: number;
}

export async function graphileWorker(
  { databaseUrl }: Servers,
  name: string,
  { concurrentJobs, localQueue, batchDelayMs = 0 }: GraphileSetting,
): Promise<Contender> {
  const schema = `gw_${name.toLowerCase().replace(/\W+/g, '_')}`;
  const preset = {
    worker: {
      connectionString: databaseUrl,
      schema,
      concurrentJobs,
      maxPoolSize: Math.max(10, Math.min(concurrentJobs, 20)),
      ...(localQueue !== undefined && {
        localQueue: { size: localQueue },
        completeJobBatchDelay: batchDelayMs,
        failJobBatchDelay: batchDelayMs,
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
    async startTimes(count, everyMs) {
      const starts = timeStarts(count, everyMs, (n) => utils.addJob('start', { n }));
      const runner = await run({
        preset,
        taskList: { start: async (payload) => starts.started((payload as { n: number }).n) },
        noHandleSignals: true,
        logger: new Logger(() => () => {}),
      });
      const times = await starts.times;
      await runner.stop();
      return times;
    },
    close: async () => {
      await utils.release();
    },
  };
}
