import { accessEnv } from '../lib/server/env';
import { readCrons, startLocalClock } from './local-clock';

/** How often a missing CRON_SECRET is looked for: `next dev` reads a changed `.env.local` without a restart. */
const lookAgainMs = 5_000;

/** Fires the crons of `vercel.json` at the development server itself, since no platform does. */
export function startDevClock({ port }: { port: number }): void {
  const say = (message: string) => console.log(` ◷ local clock: ${message}`);
  try {
    const crons = readCrons();
    if (!start()) {
      say('nothing fires until CRON_SECRET is set, in .env.local for example');
      const timer = setInterval(() => {
        if (start()) clearInterval(timer);
      }, lookAgainMs);
    }

    function start(): boolean {
      const [cronSecret] = accessEnv().cronSecrets;
      if (cronSecret === undefined) return false;
      startLocalClock({ crons, baseUrl: `http://127.0.0.1:${port}`, cronSecret, onError: say });
      say(`fires ${crons.map((entry) => `${entry.path} (${entry.schedule})`).join(' and ')}, in UTC`);
      return true;
    }
  } catch (error) {
    say(`nothing fires: ${(error as Error).message}`);
  }
}
