import type { DemoClient } from './demo-client';

/** By then the jobs that fail for good have failed. */
const afterMs = 30_000;

/** Runs the failed jobs once more after a while, and says what came of it, until the returned function is called. */
export function rerunFailed(client: DemoClient, say: (text: string) => void): () => void {
  const timer = setTimeout(async () => {
    const told = await client.runFailed().then(
      ({ done, failed }) => `${done} done, ${failed} failed again`,
      (error: Error) => error.message,
    );
    say(`Failed jobs were run once more, by POST /api/jobs/run?queue=failed&limit=10: ${told}.`);
  }, afterMs);
  return () => clearTimeout(timer);
}
