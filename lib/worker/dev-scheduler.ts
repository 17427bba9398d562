import { serverEnv } from '../services/env.ts';
import { type CronEntry, readCrons, startLocalScheduler } from './local-scheduler.ts';

/** Between two reads of the environment: `next dev` loads a changed `.env.local` without a restart. */
const retryMs = 5_000;

/**
 * Fires the crons of `vercel.json` at the development server, where no platform does. Without DEV_SCHEDULER it fires on the embedded database
 * only, because with variables pulled from production a tick would send that project's messages.
 */
export function startDevScheduler({
  baseUrl,
  readEntries = readCrons,
  everyMs,
  signal,
}: {
  /** The development server's address, for example `http://127.0.0.1:3000`. */
  baseUrl: string;
  /** Reads the entries, and what else a restart would read, such as changed variables. */
  readEntries?: () => CronEntry[];
  /** The interval of entries that are due at least hourly. */
  everyMs?: number;
  /** Ends the scheduler. */
  signal?: AbortSignal;
}): void {
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
  signal?.addEventListener('abort', () => clearInterval(timer));

  /** Returns why it cannot start; null once it has started. */
  function start(): string | null {
    try {
      const crons = readEntries();
      const { cronSecrets, store, devScheduler } = serverEnv();
      const [cronSecret] = cronSecrets;
      if (cronSecret === undefined) return 'CRON_SECRET is not set. Set it, for example in .env.local';
      if (store.kind !== 'embedded' && !devScheduler) {
        return `ticks would run the due rows of ${store.url}. Set DEV_SCHEDULER=1 to run them, or STORE=embedded to use the embedded database`;
      }
      const end = startLocalScheduler({ crons, baseUrl, cronSecret, everyMs, onError: print });
      signal?.addEventListener('abort', () => void end());
      print(`fires ${crons.map((entry) => `${entry.path} (${entry.schedule})`).join(' and ')}, in UTC`);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }
}
