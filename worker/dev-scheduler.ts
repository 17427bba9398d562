import { serverEnv } from '../lib/services/env';
import { readCrons, startLocalScheduler } from './local-scheduler';

/** How often the environment is read again: `next dev` takes in a changed `.env.local` without a restart. */
const retryMs = 5_000;

/**
 * Fires the crons of `vercel.json` at the development server itself, since no platform does. Fires on the embedded database only, unless
 * DEV_SCHEDULER is set: with variables pulled from production a tick would send that project's messages.
 */
export function startDevScheduler({ port }: { port: number }): void {
  const say = (message: string) => console.log(` ◷ local scheduler: ${message}`);
  let obstacle = start();
  if (obstacle === null) return;
  say(`nothing fires: ${obstacle}`);
  const timer = setInterval(() => {
    const previous = obstacle;
    obstacle = start();
    if (obstacle === null) clearInterval(timer);
    else if (obstacle !== previous) say(`nothing fires: ${obstacle}`);
  }, retryMs);

  /** Answers what keeps it from starting. */
  function start(): string | null {
    try {
      const crons = readCrons();
      const { cronSecrets, store, devScheduler } = serverEnv();
      const [cronSecret] = cronSecrets;
      if (cronSecret === undefined) return 'CRON_SECRET is not set. Set it, in .env.local for example';
      if (store.kind !== 'embedded' && !devScheduler) {
        return `ticks would do what is due in ${store.url}. Set DEV_SCHEDULER=1 if you mean that project, or STORE=embedded`;
      }
      startLocalScheduler({ crons, baseUrl: `http://127.0.0.1:${port}`, cronSecret, onError: say });
      say(`fires ${crons.map((entry) => `${entry.path} (${entry.schedule})`).join(' and ')}, in UTC`);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }
}
