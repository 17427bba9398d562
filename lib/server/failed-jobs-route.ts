import { systemClock } from '../engine/clock';
import { container } from './container';
import { refuseCron } from './cron-route';
import { failed } from './failure';
import { json } from './respond';
import { runJobs } from './run-jobs';
import { readClock, readSlot } from './slot';

/**
 * A cron endpoint of jobs for which `?queue=failed` stands for the failed jobs of all queues: each that has failed before the call is run
 * once more. `ticks` answers everything else.
 */
export function withFailedJobs(
  ticks: (request: Request) => Promise<Response>,
  { maxDuration }: { maxDuration: number },
) {
  return async (request: Request): Promise<Response> => {
    const startedAt = systemClock.now();
    if (new URL(request.url).searchParams.get('queue') !== 'failed') return ticks(request);
    const refused = refuseCron(request);
    if (refused) return refused;
    try {
      const everyFailedOne = { queue: null, state: 'dead', limit: null } as const;
      const call = {
        maxDuration,
        startedAt,
        clockName: readClock(request.headers),
        slot: readSlot(request.headers, Date.now()),
      };
      return json(200, await runJobs(await container(), everyFailedOne, call));
    } catch (error) {
      return failed(error);
    }
  };
}
