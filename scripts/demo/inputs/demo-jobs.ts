import { messageText } from './demo-texts.ts';

/** An entry of `POST /api/jobs`. */
export interface DemoJob {
  name: string;
  queue: 'default' | 'blocking';
  payload: object;
  run_at: string;
  max_attempts?: number;
  unique_key: string;
}

type Plan = Pick<DemoJob, 'name' | 'payload' | 'max_attempts'>;

/** How many of the jobs fail at their only attempt. */
export const failingJobs = 2;
const wordCounts = 20;
/** Seconds of each nap. A nap reports its progress. */
const naps = [2, 6, 3, 5, 4, 3, 2];
const blockingNaps = 9;

/**
 * Returns the demo's jobs, all due by `nowMs`.
 * - In `default`: a job that always fails, one that succeeds when it is retried by hand, one that retries by itself, naps, and word counts.
 * - In `blocking`: a job that fails first, and naps that wait until it is done.
 */
export function demoJobs(runId: string, nowMs: number): DemoJob[] {
  const plans: Plan[] = [
    { name: 'fail-first', payload: { times: 100 }, max_attempts: 1 },
    { name: 'fail-first', payload: { times: 1 }, max_attempts: 1 },
    { name: 'fail-first', payload: { times: 1 } },
    ...naps.map((seconds) => ({ name: 'nap', payload: { seconds } })),
    ...Array.from({ length: wordCounts }, (_, index) => ({
      name: 'count-words',
      payload: { text: messageText(index, 'Punctual', `${runId}-${index + 1}`) },
    })),
  ];
  const blocking: Plan[] = [
    { name: 'fail-first', payload: { times: 1 } },
    ...Array.from({ length: blockingNaps }, () => ({ name: 'nap', payload: { seconds: 1 } })),
  ];
  return [...inQueue('default', plans), ...inQueue('blocking', blocking)];

  function inQueue(queue: DemoJob['queue'], planned: Plan[]): DemoJob[] {
    return planned.map((plan, index) => ({
      ...plan,
      queue,
      run_at: new Date(nowMs + (index - planned.length) * 1_000).toISOString(),
      unique_key: `demo-${runId}-${queue}-${index + 1}`,
    }));
  }
}
