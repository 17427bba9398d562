import { parseArgs } from 'node:util';
import { scheduledQueues } from '../lib/queues/scheduled-queues';
import { type Container, container } from '../lib/server/container';
import { type CronWork, findWork } from '../lib/server/cron-work';
import { hasMoreWork } from '../lib/server/has-more-work';
import { loadEnvFiles } from '../lib/server/load-env-files';
import { type CronEntry, readSchedules } from './local-clock';
import { startPathLoop } from './path-loop';
import { startWorkerServer } from './worker-server';

const usage = `npm run worker -- [--only dm-queue,jobs] [--every 5]

Ticks all queues in this process by the schedules of vercel.json, back-to-back while there is a backlog, until SIGTERM or SIGINT. The
database is that of SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY, from the environment, .env.local or .env; the providers' variables are
the app's. GET /health and, with WORKER_SECRET, POST /ticks/:queue are served on PORT (8080) of HOST (0.0.0.0).

  --only NAMES   only these of vercel.json's paths, without /api/cron/: dm-queue, monitors/fra1. Without it all but those that are
                 pinned to a region, which this machine is not in.
  --every N      what is due every hour or oftener is ticked every N seconds instead, 1 to 60.
  --region NAME  no worker, but an agent that checks the monitors of one region: --region office --help.

A platform's start command is node --import tsx worker/main.ts: npm does not hand SIGTERM on.

Exit codes: 0 ended by a signal, 1 it cannot run, 2 wrong arguments.
`;

/** The limit of one tick, as the routes have it. */
const maxDuration = 60;

/** Runs until `signal` ends it; answers the exit code. Throws what a person has to mend. */
export async function runWorker(
  args: string[],
  signal: AbortSignal,
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  const asked = readArguments(args, env);
  if ('code' in asked) {
    (asked.code === 0 ? process.stdout : process.stderr).write(asked.text);
    return asked.code;
  }
  loadEnvFiles();
  const { entries, left } = chooseEntries(asked.only);
  const shared = await container();
  const { log } = shared;
  for (const { path, why } of left) log.info({ path, why }, 'the worker does not tick this path');

  const loops = entries.map(({ entry, work }) =>
    startPathLoop({
      entry,
      everyMs: asked.everyMs,
      clockName: shared.env.workerName,
      signal,
      call: (call) => callWork(work, entry, shared, call, signal),
      onFault: (error, path) => log.error({ err: error, path }, 'a tick failed'),
    }),
  );
  const server = await startWorkerServer({
    port: asked.port,
    host: asked.host,
    loops,
    secret: shared.env.workerSecret,
    signal,
  });
  const paths = entries.map(({ entry }) => `${entry.path} (${entry.schedule})`);
  log.info({ url: server.url, paths, everyMs: asked.everyMs }, 'the worker ticks; SIGTERM ends it');
  await Promise.all(loops.map(({ ended }) => ended));
  await server.close();
  log.info({}, 'the worker has ended');
  return 0;
}

async function callWork(
  work: CronWork,
  entry: CronEntry,
  shared: Container,
  call: Parameters<Parameters<typeof startPathLoop>[0]['call']>[0],
  signal: AbortSignal,
) {
  const done = await work(shared, {
    ...call,
    params: new URL(entry.path, 'http://worker.invalid').searchParams,
    startedAt: shared.ports.clock.now(),
    maxDuration,
    stop: { signal, graceMs: shared.env.workerGraceSeconds * 1_000 },
  });
  return { ...done, hasMore: hasMoreWork(done) };
}

interface Chosen {
  entries: { entry: CronEntry; work: CronWork }[];
  left: { path: string; why: string }[];
}

/** Throws an `Error` that says what there is, where a name is none of vercel.json's. */
function chooseEntries(only: string[] | null): Chosen {
  const { crons, pinned } = readSchedules();
  const nameOf = ({ path }: CronEntry) => path.replace(/^\/api\/cron\//, '');
  const missing = (only ?? []).filter((name) => !crons.some((entry) => nameOf(entry) === name));
  if (missing.length > 0) {
    throw new Error(`vercel.json has no ${missing.join(', ')}; it has ${crons.map(nameOf).join(', ')}`);
  }
  const chosen: Chosen = { entries: [], left: [] };
  for (const entry of crons) {
    const { path } = entry;
    const work = findWork(path, scheduledQueues);
    if (only && !only.includes(nameOf(entry))) chosen.left.push({ path, why: 'it is not among --only' });
    else if (!only && pinned.includes(path.split('?')[0] ?? '')) {
      chosen.left.push({ path, why: 'vercel.json pins it to a region; --only takes it all the same' });
    } else if (!work) chosen.left.push({ path, why: 'no queue of lib/queues/scheduled-queues.ts has it' });
    else chosen.entries.push({ entry, work });
  }
  if (chosen.entries.length === 0) throw new Error('vercel.json has nothing that this worker could tick');
  return chosen;
}

type Asked =
  | { only: string[] | null; everyMs: number | undefined; port: number; host: string }
  | { code: 0 | 2; text: string };

function readArguments(args: string[], env: NodeJS.ProcessEnv): Asked {
  try {
    const { values } = parseArgs({
      args,
      options: {
        only: { type: 'string' },
        every: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { code: 0, text: usage };
    const every = values.every === undefined ? null : wholeNumber(values.every, 1, 60);
    if (values.every !== undefined && every === null)
      return { code: 2, text: '--every is a number of seconds from 1 to 60\n' };
    const port = wholeNumber(env.PORT || '8080', 0, 65_535);
    if (port === null) return { code: 2, text: 'PORT is no port\n' };
    const only = values.only?.split(',').flatMap((name) => name.trim().replaceAll('_', '-') || []) ?? null;
    if (only?.length === 0) return { code: 2, text: '--only names nothing\n' };
    return { only, everyMs: every === null ? undefined : every * 1_000, port, host: env.HOST || '0.0.0.0' };
  } catch (error) {
    return { code: 2, text: `${(error as Error).message}\n\n${usage}` };
  }
}

function wholeNumber(text: string, least: number, most: number): number | null {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return number >= least && number <= most ? number : null;
}
