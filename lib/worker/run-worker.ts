import { once } from 'node:events';
import { setTimeout as timeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { leftBy } from '../cron/continuation.ts';
import type { CronHandler } from '../cron/cron-handler.ts';
import { findEndpoint } from '../cron/handlers/find-endpoint.ts';
import type { QuerySchema } from '../http/query.ts';
import { findQueue, pathName } from '../queues/find-queue.ts';
import { registeredApp } from '../queues/registered-app.ts';
import { isError } from '../services/is-error.ts';
import { loadEnvFiles } from '../services/load-env-files.ts';
import { getServices, type Services } from '../services/services.ts';
import { startHeartbeat } from './heartbeat.ts';
import { type CronEntry, readSchedules, type Schedules } from './local-scheduler.ts';
import { type PathLoop, startPathLoop } from './path-loop.ts';
import { startWorkerServer } from './worker-server.ts';

export const usage = `npx punctual worker [--only dm-queue,jobs] [--every 5] [--schedules worker.json]
(in Punctual's own repository: npm run worker -- …)

Ticks all queues in this process by the schedules of vercel.json, back-to-back while rows are due, until SIGTERM or SIGINT. It uses the
database of SUPABASE_URL and SUPABASE_SECRET_KEY, from the environment, .env.local or .env, and the same provider variables as the app.
It serves GET /health and, if WORKER_SECRET is set, POST /ticks/:queue on PORT (8080) of HOST (0.0.0.0).

  --only NAMES   tick only these paths of vercel.json, named without /api/cron/: dm-queue,monitors/fra1. The default is all paths,
                 except regions of monitors that vercel.json pins: this machine is not in those regions.
  --every N      tick every N seconds, 1 to 60, where the schedule is at least hourly.
  --schedules F  read the schedules from file F, in the form of vercel.json. Use it if your plan limits those of vercel.json.
  --region NAME  run an agent that checks the monitors of one region, and no worker. See --region office --help.

On a platform, start node node_modules/punctual/dist/cli/main.js worker, because npm and npx do not forward SIGTERM. In Punctual's own
repository build with npm run build:worker and start node --enable-source-maps dist/worker.js.

Exit codes: 0 ended by a signal, 1 cannot run or could not settle in time, 2 wrong arguments.
`;

/** The limit of one tick in seconds, as in the routes. */
const maxDuration = 60;

/**
 * Runs until `signal` ends it, and returns the exit code. `read` reads the file of schedules, `vercel.json` by default. Throws if a person must act.
 */
export async function runWorker(
  args: string[],
  signal: AbortSignal,
  env: NodeJS.ProcessEnv = process.env,
  read: (file: string) => Schedules = readSchedules,
): Promise<number> {
  const parsed = readArguments(args, env, read);
  if ('code' in parsed) {
    (parsed.code === 0 ? process.stdout : process.stderr).write(parsed.text);
    return parsed.code;
  }
  loadEnvFiles();
  const { entries, skipped, fault } = chooseEntries(parsed.only, parsed.schedules);
  if (fault !== undefined) {
    process.stderr.write(`${fault}\n`);
    return 2;
  }
  const services = await getServices({ keepsConnections: true });
  const { log } = services;
  for (const { path, why } of skipped) log.info({ path, why }, 'the worker does not tick this path');

  const loops: PathLoop[] = [];
  // Before any tick, because the port may be taken by a worker that runs already.
  const server = await startWorkerServer({
    port: parsed.port,
    host: parsed.host,
    loops,
    secret: services.env.workerSecret,
    signal,
  });
  for (const { entry, handler } of entries) {
    loops.push(
      startPathLoop({
        entry,
        everyMs: parsed.everyMs,
        scheduler: services.env.workerName,
        signal,
        call: (call) => callHandler(handler, entry, services, call, signal),
        onFault(error, path) {
          if (isError(error, 'NotConfiguredError'))
            log.warn({ path, why: error.message }, 'a path cannot tick');
          else log.error({ err: error, path }, 'a tick failed');
        },
        onRecovered: (path) => log.info({ path }, 'calls succeed again'),
      }),
    );
  }
  const paths = entries.map(({ entry }) => `${entry.path} (${entry.schedule})`);
  log.info({ url: server.url, paths, everyMs: parsed.everyMs }, 'the worker ticks; SIGTERM ends it');
  services.listen?.({
    onInsert: (queue) => {
      for (const loop of loops) if (queue === null || isPathOf(loop.path, queue)) loop.nudge();
    },
    onFault: (reason) =>
      log.warn({ reason }, 'the worker is not told of new rows, and finds them at its next tick'),
    signal,
  });
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
    log.error({}, 'the grace period ended before all ticks did; their rows are swept when their lease ends');
  return isSettled ? 0 : 1;
}

/** Whether the path ticks the queue. One path ticks the queues that have none of their own. */
const isPathOf = (path: string, queue: string) =>
  [pathName(queue), 'process-scheduled'].includes(firstNameOf(path));

/** `monitors` of `/api/cron/monitors/fra1`. */
const firstNameOf = (path: string) => /\/cron\/([\w-]+)/.exec(path)?.[1] ?? '';

/** Resolves to false when the grace period after the signal is over. Ticks end before that, unless one hangs. */
async function graceOver(signal: AbortSignal, graceMs: number): Promise<false> {
  if (!signal.aborted) await once(signal, 'abort');
  await timeout(graceMs, undefined, { ref: false });
  return false;
}

async function callHandler(
  handler: CronHandler,
  entry: CronEntry,
  services: Services,
  call: Parameters<Parameters<typeof startPathLoop>[0]['call']>[0],
  signal: AbortSignal,
) {
  const result = await handler(services, {
    ...call,
    params: new URL(entry.path, 'http://worker.invalid').searchParams,
    startedAt: services.ports.clock.now(),
    maxDuration,
    stop: { signal, graceMs: services.env.workerGraceSeconds * 1_000 },
  });
  const left = leftBy(result.reports);
  if (result.fault !== undefined) {
    // A fault of one queue or partition does not stop the continuations of the others.
    if (!left.hasMore) throw result.fault;
    services.log.error({ err: result.fault, path: call.path }, 'a queue or partition of a call failed');
  }
  return left;
}

interface Choice {
  entries: { entry: CronEntry; handler: CronHandler }[];
  skipped: { path: string; why: string }[];
  /** Why the worker cannot run, and which names it knows. */
  fault?: string;
}

/** The first parameter of a cron path that its endpoint does not take. Its route would refuse the call. */
function unknownParameter(path: string, { shape }: QuerySchema): string | null {
  const names = [...new URL(path, 'http://worker.invalid').searchParams.keys()];
  return names.find((name) => !(name in shape)) ?? null;
}

/** Chooses the schedules that this worker ticks: those named by `only`, or all that have a handler. */
export function chooseEntries(only: string[] | null, { crons, isPinned }: Schedules): Choice {
  // `only` may have names as in the registry or as in paths.
  const nameOf = ({ path }: CronEntry) => pathName(path.replace(/^.*\/cron\/|\/$/g, ''));
  const onlyNames = only?.map(pathName) ?? null;
  const choice: Choice = { entries: [], skipped: [] };
  const { queues } = registeredApp();
  for (const entry of crons) {
    const { path } = entry;
    const endpoint = findEndpoint(path, queues);
    const unknown = endpoint && unknownParameter(path, endpoint.query);
    if (unknown)
      return {
        ...choice,
        fault: `${path}: the path does not take ?${unknown}=. ?partition= names a partition`,
      };
    if (onlyNames && !onlyNames.includes(nameOf(entry)))
      choice.skipped.push({ path, why: '--only does not name it' });
    else if (!endpoint) choice.skipped.push({ path, why: 'no queue in punctual.ts has this path' });
    else if (!onlyNames && isPlace(path) && isPinned(path)) {
      choice.skipped.push({
        path,
        why: 'vercel.json pins it to a region; name it with --only to tick it here',
      });
    } else choice.entries.push({ entry, handler: endpoint.handler });
  }
  const names = choice.entries.map(({ entry }) => nameOf(entry));
  const missing = (onlyNames ?? []).filter((name) => !names.includes(name));
  const known = crons.filter(({ path }) => findEndpoint(path, queues)).map(nameOf);
  if (missing.length > 0) {
    const fault = `--only: there is no schedule for ${missing.join(', ')}. There are schedules for ${known.join(', ')}`;
    return { ...choice, fault };
  }
  if (names.length > 0) return choice;
  return {
    ...choice,
    fault: `there is nothing to tick by default. --only can name ${known.join(', ') || 'nothing either'}`,
  };
}

/** Whether a path's partitions are places, so that it matters where it is ticked. The pin of another queue only keeps it near its database. */
function isPlace(path: string): boolean {
  return findQueue(firstNameOf(path), registeredApp().queues)?.partitions === 'named';
}

type ParsedArguments =
  | { only: string[] | null; everyMs: number | undefined; schedules: Schedules; port: number; host: string }
  | { code: 0 | 2; text: string };

function readArguments(
  args: string[],
  env: NodeJS.ProcessEnv,
  read: (file: string) => Schedules,
): ParsedArguments {
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
    const every = values.every === undefined ? null : wholeNumber(values.every, 1, 60);
    if (values.every !== undefined && every === null)
      return { code: 2, text: '--every must be a number of seconds from 1 to 60\n' };
    const port = wholeNumber(env.PORT || '8080', 0, 65_535);
    if (port === null) return { code: 2, text: 'PORT must be a port number from 0 to 65535\n' };
    const only = values.only?.split(',').flatMap((name) => name.trim() || []) ?? null;
    if (only?.length === 0) return { code: 2, text: '--only names no path\n' };
    const everyMs = every === null ? undefined : every * 1_000;
    return { only, everyMs, schedules: read(values.schedules), port, host: env.HOST || '0.0.0.0' };
  } catch (error) {
    return { code: 2, text: `${(error as Error).message}\n\n${usage}` };
  }
}

function wholeNumber(text: string, min: number, max: number): number | null {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return number >= min && number <= max ? number : null;
}
