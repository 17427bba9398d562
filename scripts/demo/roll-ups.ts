import type { DemoClient } from './demo-client';

const firstMs = 45_000;
const everyMs = 60_000;

/**
 * Rolls the day up now and then, which a scheduler does once a night elsewhere, until the returned function is called. Says so the first time,
 * and what went wrong as often as it does.
 */
export function keepRollingUp(client: DemoClient, say: (text: string) => void): () => void {
  let told = false;
  let timer = setTimeout(rollUp, firstMs);

  async function rollUp(): Promise<void> {
    timer = setTimeout(rollUp, everyMs);
    try {
      await client.rollUp();
      if (!told) say('The day so far was rolled up, by GET /api/cron/analytics: see Days on the dashboard.');
      told = true;
    } catch (error) {
      say(`The day was not rolled up: ${(error as Error).message}`);
    }
  }

  return () => clearTimeout(timer);
}
