import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadEnvFiles } from '../services/load-env-files.ts';
import { startDevScheduler } from '../worker/dev-scheduler.ts';
import { readIfThere } from './changes.ts';
import { CliError } from './cli-error.ts';
import { readCronEntries } from './edit/vercel-crons.ts';
import { frequentCrons } from './plan.ts';
import { readAppFolder } from './project/app-folder.ts';
import { readAppPaths } from './project/init-files.ts';
import type { Terminal } from './terminal.ts';

export const usage = `npx punctual dev [--url http://localhost:3000] [--every 60]

Ticks the app's queues while next dev runs: no platform does it on your machine. Start it in a second terminal, and end it with Ctrl-C.
On a Supabase project it ticks only with DEV_SCHEDULER=1, because a tick runs that project's due rows.

  --url URL   the app's address. The default is http://localhost:3000.
  --every N   tick every N seconds, 1 to 60.

Exit codes: 0 ended by a signal, 2 wrong arguments, or no app here.
`;

/** Ticks the development server until the signal. Returns the exit code. */
export async function dev(args: string[], { folder, print, signal }: Terminal): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      url: { type: 'string', default: 'http://localhost:3000' },
      every: { type: 'string', default: '60' },
    },
  });
  if (!/^https?:\/\//.test(values.url) || !URL.canParse(values.url))
    throw new CliError(`--url ${values.url}: give an address, http://localhost:3000`);
  const every = Number(values.every);
  if (!Number.isInteger(every) || every < 1 || every > 60)
    throw new CliError('--every must be a number of seconds from 1 to 60');
  const app = readAppFolder(folder);
  const paths = readAppPaths(folder);
  const page = ['tsx', 'jsx', 'js'].map((ext) =>
    path.join(folder, app.source, `app/punctual/[[...path]]/page.${ext}`),
  );
  if (page.some(existsSync)) print(` ◷ dashboard: ${new URL(`${paths.basePath}/punctual`, values.url)}`);
  print(` ◷ health: ${new URL(`${paths.basePath}/api/punctual/health`, values.url)}`);
  startDevScheduler({
    baseUrl: values.url,
    everyMs: every * 1_000,
    signal,
    readEntries: () => {
      loadEnvFiles();
      return frequentCrons(readCronEntries(readIfThere(folder, 'vercel.json')), paths);
    },
  });
  if (!signal.aborted) await once(signal, 'abort');
  return 0;
}
