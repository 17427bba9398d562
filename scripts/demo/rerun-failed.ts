import type { DemoClient } from './demo-client.ts';

/** All jobs that fail have failed by then. */
const afterMs = 30_000;

/** Retries the failed jobs once after 30 s, and prints the result. Returns a function that cancels it. */
export function rerunFailed(client: DemoClient, say: (text: string) => void): () => void {
  const timer = setTimeout(async () => {
    const result = await client.runFailed().then(
      ({ done, failed }) => `${done} done, ${failed} failed again`,
      (error: Error) => error.message,
    );
    say(`The failed jobs were retried with POST /api/jobs/run?queue=failed&limit=10: ${result}.`);
  }, afterMs);
  return () => clearTimeout(timer);
}
