import { serverEnv } from '../services/env.ts';
import { readCrons, startLocalScheduler } from './local-scheduler.ts';

/** Between two reads of the environment: `next dev` loads a changed `.env.local` without a restart. */
const retryMs = 5_000;

/**
 * Fires the crons of `vercel.json` at the development server, where no platform does. Without DEV_SCHEDULER it fires on the embedded database
 * only, because with variables pulled from production a tick would send that project's messages.
 */
export function startDevScheduler({ port }: { port: number }): void {
  const print = (message: string) => console.log(` ◷ local scheduler: ${message}`);
  let fault = start();
  if (fault === null) return;
  print(`no schedule fires: ${fault}`);
  const timer = setInterval(() => {
    const previous = fault;
    fault = start();
    if (fault === null) clearInterval(timer);
    else if (fault !== previous) print(`no schedule fires: ${fault}`);
  }, retryMs);

  /** Returns why it cannot start; null once it has started. */
  function start(): string | null {
    try {
      const crons = readCrons();
      const { cronSecrets, store, devScheduler } = serverEnv();
      const [cronSecret] = cronSecrets;
      if (cronSecret === undefined) return 'CRON_SECRET is not set. Set it, for example in .env.local';
      if (store.kind !== 'embedded' && !devScheduler) {
        return `ticks would run the due rows of ${store.url}. Set DEV_SCHEDULER=1 to run them, or STORE=embedded to use the embedded database`;
      }
      startLocalScheduler({ crons, baseUrl: `http://127.0.0.1:${port}`, cronSecret, onError: print });
      print(`fires ${crons.map((entry) => `${entry.path} (${entry.schedule})`).join(' and ')}, in UTC`);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }
}
