import { parseArgs } from 'node:util';
import { leftBy } from '../cron/continuation.ts';
import { tickPartition } from '../cron/handlers/tick-partition.ts';
import { monitors } from '../queues/monitors/queue.ts';
import { listRegions } from '../queues/monitors/regions.ts';
import { loadEnvFiles } from '../services/load-env-files.ts';
import { getServices } from '../services/services.ts';
import { startPathLoop } from './path-loop.ts';

const usage = `npm run agent -- --region office [--every 10]

Checks the monitors of one region from this machine, until SIGTERM or SIGINT. It ticks every N seconds (1 to 60), and again at once
while monitors are due. It uses the database of SUPABASE_URL and SUPABASE_SECRET_KEY, from the environment, .env.local or .env.
Create the region first, with POST /api/regions.

After SIGTERM, running checks have WORKER_GRACE_SECONDS (25) to end.

Exit codes: 0 ended by a signal, 1 cannot run, 2 wrong arguments.
`;

/** The limit of one tick in seconds, as in the routes. */
const maxDuration = 60;

/** Runs until `signal` ends it, and returns the exit code. Throws if a person must act: for an unknown region, or an `EnvError`. */
export async function runRegionAgent(args: string[], signal: AbortSignal): Promise<number> {
  const parsed = readArguments(args);
  if ('code' in parsed) {
    (parsed.code === 0 ? process.stdout : process.stderr).write(parsed.text);
    return parsed.code;
  }
  const { region, everyMs } = parsed;
  loadEnvFiles();
  const services = await getServices({ keepsConnections: true });
  const { log, rpc } = services;
  let isKnown = false;
  let missing: MissingRegionError | null = null;
  const stopped = new AbortController();
  const loop = startPathLoop({
    entry: { path: `/api/cron/monitors/${region}`, schedule: '* * * * *' },
    everyMs,
    scheduler: 'agent',
    signal: AbortSignal.any([signal, stopped.signal]),
    async call() {
      if (!isKnown) {
        checkRegion(region, await listRegions(rpc));
        log.info({ region, everyMs }, 'the agent ticks; SIGTERM ends it');
      }
      isKnown = true;
      const stop = { signal, graceMs: services.env.workerGraceSeconds * 1_000 };
      const call = { partition: region, maxDuration, scheduler: 'agent', stop };
      return leftBy([await tickPartition(monitors, services, call)]);
    },
    onFault(error) {
      if (!(error instanceof MissingRegionError)) {
        log.error({ err: error, region }, 'a tick failed');
        return;
      }
      missing = error;
      stopped.abort();
    },
    onRecovered: () => log.info({ region }, 'ticks succeed again'),
  });
  await loop.ended;
  if (missing) throw missing;
  log.info({ region }, 'the agent has ended');
  return 0;
}

/** Ends the agent, because only a person can create the region. */
class MissingRegionError extends Error {
  override readonly name = 'MissingRegionError';
  readonly kind = 'missing_region';
}

function checkRegion(region: string, known: { name: string }[]): void {
  const names = known.map(({ name }) => name);
  if (names.includes(region)) return;
  throw new MissingRegionError(`there is no region "${region}". The regions are ${names.join(', ')}. To create it:
curl -X POST https://your.app/api/regions -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' -d '{ "name": "${region}" }'`);
}

type ParsedArguments = { region: string; everyMs: number } | { code: 0 | 2; text: string };

function readArguments(args: string[]): ParsedArguments {
  try {
    const { values } = parseArgs({
      args,
      options: {
        region: { type: 'string' },
        every: { type: 'string', default: '10' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { code: 0, text: usage };
    if (!values.region) return { code: 2, text: `--region is missing: name the region to check\n\n${usage}` };
    const seconds = /^\d{1,2}$/.test(values.every) ? Number(values.every) : 0;
    if (seconds < 1 || seconds > 60)
      return { code: 2, text: '--every must be a number of seconds from 1 to 60\n' };
    return { region: values.region, everyMs: seconds * 1_000 };
  } catch (error) {
    return { code: 2, text: `${(error as Error).message}\n\n${usage}` };
  }
}
