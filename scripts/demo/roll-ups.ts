import type { DemoClient } from './demo-client.ts';

const firstMs = 45_000;
const intervalMs = 60_000;

/**
 * Rolls up the day each minute, where a scheduler does it once a night. Prints the first success and every failure. Returns a function that stops
 * it.
 */
export function keepRollingUp(client: DemoClient, say: (text: string) => void): () => void {
  let isAnnounced = false;
  let timer = setTimeout(rollUp, firstMs);

  async function rollUp(): Promise<void> {
    timer = setTimeout(rollUp, intervalMs);
    try {
      await client.rollUp();
      if (!isAnnounced) say('GET /api/cron/analytics rolled up the day so far. See Days on the dashboard.');
      isAnnounced = true;
    } catch (error) {
      say(`The day could not be rolled up: ${(error as Error).message}`);
    }
  }

  return () => clearTimeout(timer);
}
