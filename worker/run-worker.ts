import { once } from 'node:events';
import { setTimeout as timeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { anyHasMore, type CronHandler } from '../lib/cron/cron-handler';
import { findHandler } from '../lib/cron/handlers/find-handler';
import { findQueue, pathName } from '../lib/queues/scheduled-queue';
import { scheduledQueues } from '../lib/queues/scheduled-queues';
import { isError } from '../lib/services/is-error';
import { loadEnvFiles } from '../lib/services/load-env-files';
import { getServices, type Services } from '../lib/services/services';
import { startHeartbeat } from './heartbeat';
import { type CronEntry, readSchedules, type Schedules } from './local-scheduler';
import { type PathLoop, startPathLoop } from './path-loop';
import { startWorkerServer } from './worker-server';

const usage = `npm run worker -- [--only dm-queue,jobs] [--every 5] [--schedules worker.json]

Ticks all queues in this process by the schedules of vercel.json, back-to-back while there is a backlog, until SIGTERM or SIGINT. The
database is that of SUPABASE_URL and SUPABASE_SECRET_KEY, from the environment, .env.local or .env; the providers' variables are
the app's. GET /health and, with WORKER_SECRET, POST /ticks/:queue are served on PORT (8080) of HOST (0.0.0.0).

  --only NAMES   only these of vercel.json's paths, without /api/cron/: dm-queue, monitors/fra1. Without it all but the monitors'
                 regions that vercel.json pins: this machine would report as one that it is not in.
  --every N      what is due every hour or oftener is ticked every N seconds instead, 5 to 60.
  --schedules F  the schedules of this file instead, in the same form: where vercel.json has only what its plan allows.
  --region NAME  no worker, but an agent that checks the monitors of one region: --region office --help.

A platform builds with npm run build:worker and starts node --enable-source-maps dist/worker.js: npm does not pass SIGTERM on.

Exit codes: 0 ended by a signal, 1 it cannot run or could not settle in time, 2 wrong arguments.
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
  const { entries, left, fault } = chooseEntries(asked.only, asked.schedules);
  if (fault !== undefined) {
    process.stderr.write(`${fault}\n`);
    return 2;
  }
  const services = await getServices();
  const { log } = services;
  for (const { path, why } of left) log.info({ path, why }, 'the worker does not tick this path');

  const loops: PathLoop[] = [];
  // Before anything ticks, since this is where it may turn out that a worker is there already.
  const server = await startWorkerServer({
    port: asked.port,
    host: asked.host,
    loops,
    secret: services.env.workerSecret,
    signal,
  });
  for (const { entry, work } of entries) {
    loops.push(
      startPathLoop({
        entry,
        everyMs: asked.everyMs,
        scheduler: services.env.workerName,
        signal,
        call: (call) => callHandler(work, entry, services, call, signal),
        onFault(error, path) {
          if (isError(error, 'NotConfiguredError'))
            log.warn({ path, why: error.message }, 'a path does nothing');
          else log.error({ err: error, path }, 'a tick failed');
        },
        onRecovered: (path) => log.info({ path }, 'calls succeed again'),
      }),
    );
  }
  const paths = entries.map(({ entry }) => `${entry.path} (${entry.schedule})`);
  log.info({ url: server.url, paths, everyMs: asked.everyMs }, 'the worker ticks; SIGTERM ends it');
  const heartbeatUrl = services.env.workerHeartbeatUrl;
  const endHeartbeat = heartbeatUrl
    ? startHeartbeat({
        url: heartbeatUrl,
        isWell: () => server.health() === 'ok',
        clock: services.ports.clock,
        log,
      })
    : () => {};
  const ended = Promise.all(loops.map((loop) => loop.ended)).then(() => true);
  const isSettled = await Promise.race([ended, graceOver(signal, services.env.workerGraceSeconds * 1_000)]);
  endHeartbeat();
  await server.close();
  if (isSettled) log.info({}, 'the worker has ended');
  else
    log.error({}, 'the grace is over, and ticks are under way: their rows are seen to when their lease ends');
  return isSettled ? 0 : 1;
}

/** Ticks end before: this is for one that hangs where nothing was to hang. */
async function graceOver(signal: AbortSignal, graceMs: number): Promise<false> {
  if (!signal.aborted) await once(signal, 'abort');
  await timeout(graceMs, undefined, { ref: false });
  return false;
}

async function callHandler(
  work: CronHandler,
  entry: CronEntry,
  services: Services,
  call: Parameters<Parameters<typeof startPathLoop>[0]['call']>[0],
  signal: AbortSignal,
) {
  const done = await work(services, {
    ...call,
    params: new URL(entry.path, 'http://worker.invalid').searchParams,
    startedAt: services.ports.clock.now(),
    maxDuration,
    stop: { signal, graceMs: services.env.workerGraceSeconds * 1_000 },
  });
  const hasMore = anyHasMore(done.reports);
  if (done.fault !== undefined) {
    // A part that cannot run does not keep the others.
    if (!hasMore) throw done.fault;
    services.log.error({ err: done.fault, path: call.path }, 'a part of a call failed');
  }
  return { ...done, hasMore };
}

interface Chosen {
  entries: { entry: CronEntry; work: CronHandler }[];
  left: { path: string; why: string }[];
  /** What is to be asked for instead, where nothing can come of it. */
  fault?: string;
}

/** Which of the schedules this worker ticks: all that there is work for, or those that are asked for by name. */
export function chooseEntries(only: string[] | null, { crons, isPinned }: Schedules): Chosen {
  // A queue's name is as good as its path's.
  const nameOf = ({ path }: CronEntry) => pathName(path.replace(/^\/api\/cron\//, ''));
  const asked = only?.map(pathName) ?? null;
  const chosen: Chosen = { entries: [], left: [] };
  for (const entry of crons) {
    const { path } = entry;
    const work = findHandler(path, scheduledQueues);
    if (asked && !asked.includes(nameOf(entry))) chosen.left.push({ path, why: 'it is not among --only' });
    else if (!work) chosen.left.push({ path, why: 'no queue of lib/queues/scheduled-queues.ts has it' });
    else if (!asked && isPlace(path) && isPinned(path)) {
      chosen.left.push({ path, why: 'vercel.json pins it to a region; --only takes it all the same' });
    } else chosen.entries.push({ entry, work });
  }
  const names = chosen.entries.map(({ entry }) => nameOf(entry));
  const missing = (asked ?? []).filter((name) => !names.includes(name));
  const known = crons.filter(({ path }) => findHandler(path, scheduledQueues)).map(nameOf);
  if (missing.length > 0) {
    const fault = `--only: there is no schedule of ${missing.join(', ')}, but of ${known.join(', ')}`;
    return { ...chosen, fault };
  }
  if (names.length > 0) return chosen;
  return {
    ...chosen,
    fault: `there is nothing to tick here; with --only there is ${known.join(', ') || 'nothing'}`,
  };
}

/** Of a queue whose parts are places it matters where they are ticked; of any other a pin says where its database is, at most. */
function isPlace(path: string): boolean {
  const name = /^\/api\/cron\/([\w-]+)/.exec(path)?.[1] ?? '';
  return findQueue(name, scheduledQueues)?.partitions === 'named';
}

type Asked =
  | { only: string[] | null; everyMs: number | undefined; schedules: Schedules; port: number; host: string }
  | { code: 0 | 2; text: string };

function readArguments(args: string[], env: NodeJS.ProcessEnv): Asked {
  try {
    const { values } = parseArgs({
      args,
      options: {
        only: { type: 'string' },
        every: { type: 'string' },
        schedules: { type: 'string', default: 'vercel.json' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { code: 0, text: usage };
    const every = values.every === undefined ? null : wholeNumber(values.every, 5, 60);
    if (values.every !== undefined && every === null)
      return { code: 2, text: '--every is a number of seconds from 5 to 60\n' };
    const port = wholeNumber(env.PORT || '8080', 0, 65_535);
    if (port === null) return { code: 2, text: 'PORT is no port\n' };
    const only = values.only?.split(',').flatMap((name) => name.trim() || []) ?? null;
    if (only?.length === 0) return { code: 2, text: '--only names nothing\n' };
    const everyMs = every === null ? undefined : every * 1_000;
    return { only, everyMs, schedules: readSchedules(values.schedules), port, host: env.HOST || '0.0.0.0' };
  } catch (error) {
    return { code: 2, text: `${(error as Error).message}\n\n${usage}` };
  }
}

function wholeNumber(text: string, least: number, most: number): number | null {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return number >= least && number <= most ? number : null;
}
