import type { DemoClient } from './demo-client.ts';
import { failingJobs } from './inputs/demo-jobs.ts';

const afterMs = 30_000;
/** On a slow machine the jobs fail later. */
const againMs = 2_000;

/**
 * Retries the failed jobs once, after 30 s or as soon as all that fail have failed, and prints the result. `before` counts the failed jobs of earlier
 * demos. Returns a function that cancels it.
 */
export function rerunFailed(client: DemoClient, before: number, say: (text: string) => void): () => void {
  let timer = setTimeout(rerun, afterMs);

  async function rerun(): Promise<void> {
    try {
      if ((await client.failedJobs()) < before + failingJobs) {
        timer = setTimeout(rerun, againMs);
        return;
      }
      const { done, failed } = await client.runFailed();
      tell(`${done} done, ${failed} failed again`);
    } catch (error) {
      tell((error as Error).message);
    }
  }

  const tell = (result: string) =>
    say(`The failed jobs were retried with POST /api/jobs/run?queue=failed&limit=10: ${result}.`);
  return () => clearTimeout(timer);
}
