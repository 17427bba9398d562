/**
 * Says how long a load would take, for each batch limit and concurrency: `npm run whatif -- --backlog 0,5,30,50 --batch 20,30,50 --concurrency 3,5,10`.
 *
 * Runs the load through the engine and its SQL, on an embedded database in memory and under a virtual clock, so an hour takes seconds.
 *
 * - `--backlog 50`: rows that are due at the start; several run one after the other.
 * - `--per-hour 600 --hours 2`: rows that fall due evenly.
 * - `--row 2.5` or `--row 0.3-2.5`: the seconds that a row takes. `--call 0.01`: the seconds that a call to the database takes.
 * - `--every 300 --limit 60`: seconds between two slots, and the execution limit of a function.
 * - `--delivery at-least-once`: rows without accounts. Otherwise they are messages: `--accounts 50 --daily-limit 30 --gap 60`, an account for each
 *   row by default.
 * - `--per-minute 60`: the most rows that the provider accepts in a minute.
 * - `--history dm_queue`: takes the load from the queue's ledger in the database that the environment names. Flags take precedence.
 */
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { longestAttemptMs } from '../lib/engine/budget.ts';
import { listTicks } from '../lib/operate/ticks.ts';
import { loadEnvFiles } from '../lib/services/load-env-files.ts';
import { getServices } from '../lib/services/services.ts';
import { pgliteRpc } from '../lib/store/embedded/pglite-rpc.ts';
import { statsSchema } from '../lib/store/stats.ts';
import { makeDatabase } from './schema/make-database.ts';
import { readSources } from './schema/sources.ts';
import { loadOfHistory } from './whatif/load-of-history.ts';
import { defaultLoad, type Load, runLoad, timeoutMsOf } from './whatif/run-load.ts';
import { tableOfDrains, tableOfResults } from './whatif/tables.ts';

/** A list of whole numbers from `least` to `most`. */
const numbers = (least: number, most = 1_000_000) =>
  z
    .string()
    .regex(/^\d+(,\d+)*$/, 'must be whole numbers, separated by commas')
    .transform((text) => text.split(',').map(Number))
    .refine((list) => list.every((one) => one >= least && one <= most), `must be from ${least} to ${most}`);
const number = z.coerce.number().nonnegative();
const count = z.coerce.number().int().positive();
const rowSeconds = z
  .string()
  .regex(/^\d+(\.\d+)?(-\d+(\.\d+)?)?$/, 'must be seconds: 2.5, or 0.3-2.5')
  .transform((text) => text.split('-').map((part) => Number(part) * 1_000))
  .transform(([least = 0, most = least]): [number, number] => [least, most])
  .refine(([least, most]) => least <= most, 'must begin with the shorter time');

const flagsSchema = z.object({
  backlog: numbers(0).optional(),
  batch: numbers(1).optional(),
  concurrency: numbers(1, 1_000).optional(),
  'per-hour': number.optional(),
  hours: number.optional(),
  row: rowSeconds.optional(),
  call: number.optional(),
  every: count.optional(),
  limit: count.min(30).optional(),
  delivery: z.enum(['at-most-once', 'at-least-once']).optional(),
  accounts: count.optional(),
  'daily-limit': count.optional(),
  gap: number.optional(),
  'per-minute': count.optional(),
  history: z.string().optional(),
});

function readFlags(): z.infer<typeof flagsSchema> {
  const options = Object.fromEntries(
    Object.keys(flagsSchema.shape).map((name) => [name, { type: 'string' as const }]),
  );
  const parsed = flagsSchema.safeParse(parseArgs({ options }).values);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Error(`--${issue?.path.join('.')}: ${issue?.message}`);
}

async function readHistory(name: string): Promise<ReturnType<typeof loadOfHistory>> {
  loadEnvFiles();
  const { rpc } = await getServices();
  const { queues } = statsSchema.parse(await rpc('read_stats', { p_configured: [] }));
  const queue = queues.find((one) => one.name === name);
  if (!queue)
    throw new Error(
      `--history: there is no queue ${name}. There are ${queues.map((one) => one.name).join(', ')}`,
    );
  const { items } = await listTicks(rpc, name, { idle: false, limit: 12 });
  return loadOfHistory(queue, items);
}

async function main(): Promise<void> {
  const flags = readFlags();
  const history = flags.history === undefined ? null : await readHistory(flags.history);
  const known = { ...defaultLoad, ...history?.load };
  const load: Load = {
    ...known,
    perHour: flags['per-hour'] ?? known.perHour,
    hours: flags.hours ?? known.hours,
    rowMs: flags.row ?? known.rowMs,
    callMs: flags.call === undefined ? known.callMs : flags.call * 1_000,
    everySeconds: flags.every ?? known.everySeconds,
    limitSeconds: flags.limit ?? known.limitSeconds,
    delivery: flags.delivery ?? known.delivery,
    dailyLimit: flags['daily-limit'] ?? null,
    gapSeconds: flags.gap ?? 0,
    perMinute: flags['per-minute'] ?? null,
  };
  const mostMs = longestAttemptMs(load.limitSeconds * 1_000);
  if (timeoutMsOf(load) > mostMs) {
    throw new Error(
      `--row: in a tick of ${load.limitSeconds} s a row may take ${mostMs / 1_000 - 1} s. Raise --limit`,
    );
  }
  const backlogs = flags.backlog ?? [known.backlog];
  const settings = (flags.batch ?? [history?.setting.batchLimit ?? 30]).flatMap((batchLimit) =>
    (flags.concurrency ?? [history?.setting.concurrency ?? 5]).map((concurrency) => ({
      batchLimit,
      concurrency,
    })),
  );

  const db = await makeDatabase([readSources(process.cwd())]);
  const database = { rpc: pgliteRpc(db), sql: (text: string, params?: unknown[]) => db.query(text, params) };
  const runs = [];
  for (const setting of settings) {
    for (const backlog of backlogs) {
      const accounts = flags.accounts ?? Math.max(1, backlog + Math.floor(load.perHour * load.hours));
      const one = { ...load, backlog, accounts };
      runs.push({ load: one, setting, result: await runLoad(database, one, setting) });
    }
  }
  await db.close();
  const [least, most] = load.rowMs.map((ms) => ms / 1_000);
  console.log(
    `${load.delivery}, rows of ${least === most ? least : `${least} to ${most}`} s, calls of ${load.callMs} ms, a slot every ${load.everySeconds} s, ` +
      `a limit of ${load.limitSeconds} s${load.perHour ? `, ${load.perHour} rows an hour for ${load.hours} h` : ''}\n`,
  );
  console.log(
    [
      'The ticks that drain what is due at the start:',
      '',
      ...tableOfDrains(runs),
      '',
      'All figures:',
      '',
      ...tableOfResults(runs),
    ].join('\n'),
  );
}

main().then(
  () => process.exit(0),
  (error: Error) => {
    console.error(error.message);
    process.exit(1);
  },
);
