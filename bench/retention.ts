/**
 * Measures retention on real Postgres: `npm run bench:retention`. Rolls up 1,000,000 settled rows that are older than their retention, and prunes
 * them in steps while ticks of the same queue run.
 *
 * Pruning pauses regularly while the ticks continue, so one run gives both sides of the ratio. Fails if a step takes more than a second, if a tick's
 * claim or settle takes more than twice as long beside pruning, or if any other rows are deleted.
 */

import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { startStack } from '../tests/stack/start-stack.ts';
import { addDueDms, median } from './due-dms.ts';
import { exchangesOf } from './exchange-call.ts';

const { values: flags } = parseArgs({
  options: {
    settled: { type: 'string', default: '1000000' },
    due: { type: 'string', default: '200000' },
    accounts: { type: 'string', default: '10000' },
    step: { type: 'string', default: '1000' },
    postgres: { type: 'string', default: '15' },
  },
});
const [settled, due, stepRows] = [Number(flags.settled), Number(flags.due), Number(flags.step)];
/** Pruning runs for `withMs`, and pauses for `withoutMs`. */
const [withMs, withoutMs] = [1_500, 1_000];
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const stack = await startStack({ postgres: flags.postgres as '15' | '18' });
const clients = await Promise.all(
  [0, 1].map(async () => {
    const client = new Client({ connectionString: stack.databaseUrl });
    await client.connect();
    return client;
  }),
);
const [ticking, pruning] = clients as [Client, Client];

async function timed<T>(times: number[], run: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await run();
  times.push(performance.now() - startedAt);
  return result;
}

interface TickTimes {
  claim: number[];
  settle: number[];
}
const alone: TickTimes = { claim: [], settle: [] };
const beside: TickTimes = { claim: [], settle: [] };
const [rollUpSteps, steps]: [number[], number[]] = [[], []];
let [done, pruned] = [0, 0];
let [active, finished] = [false, false];

/** Runs one tick: a claim of 30 rows, and their settle. */
async function tick(): Promise<void> {
  const id = crypto.randomUUID();
  const exchange = exchangesOf(ticking, {
    id,
    queue: 'dm_queue',
    partition: 'main',
    scheduler: 'bench',
    limit_seconds: 60,
    providers: ['unipile'],
  });
  const wasActive = active;
  const times = { claim: [] as number[], settle: [] as number[] };
  const { rows, claimId } = await timed(times.claim, () => exchange({}, 30, false));
  const records = rows.map((row) => ({
    id: row.id,
    claim_id: claimId,
    outcome: 'done',
    result: { provider_message_id: row.id },
  }));
  const reply = await timed(times.settle, () => exchange({ records }, 0, true));
  if (rows.length !== 30 || reply.settled.done !== 30) throw new Error('a tick lost rows');
  done += 30;
  // A tick that saw pruning start or stop counts for neither side.
  if (wasActive !== active) return;
  const side = active ? beside : alone;
  side.claim.push(...times.claim);
  side.settle.push(...times.settle);
}

async function prune(): Promise<void> {
  while (!finished) {
    const pausesAt = performance.now() + withMs;
    active = true;
    while (!finished && performance.now() < pausesAt) {
      const { rows } = await timed(steps, () =>
        pruning.query('select punctual.prune($1) as step', [stepRows]),
      );
      const step = rows[0].step as { rows: number; more: boolean };
      if (step.rows > stepRows) throw new Error(`a step of ${stepRows} deleted ${step.rows} rows`);
      pruned += step.rows;
      finished = !step.more;
    }
    active = false;
    await wait(withoutMs);
  }
}

try {
  await addDueDms(ticking, { rows: due, accounts: Number(flags.accounts), settled });
  await ticking.query(
    `update punctual.dm_queue set finished_at = now() - interval '31 days' - (id % 864000) * interval '1 s' where status = 'sent'`,
  );
  await ticking.query('vacuum (analyze) punctual.dm_queue');
  let rolled = 0;
  for (let more = true; more; ) {
    const { rows } = await timed(rollUpSteps, () => pruning.query('select punctual.roll_up() as step'));
    more = rows[0].step.more;
    rolled += rows[0].step.rows ?? 0;
  }
  const ticks = (async () => {
    while (!finished) await tick();
    // Enough ticks to compare with, even if pruning ended quickly.
    while (alone.claim.length < 100) await tick();
  })();
  await Promise.all([ticks, prune()]);

  const { rows } = await ticking.query(
    `select count(*) filter (where status = 'sent')::integer as sent, count(*) filter (where status = 'pending')::integer as pending
       from punctual.dm_queue`,
  );
  const at = (times: number[], share: number) =>
    [...times].sort((a, b) => a - b)[Math.floor(times.length * share)] ?? Number.NaN;
  console.log(
    `\nPostgres ${flags.postgres}: ${rolled} settled rows rolled up in ${rollUpSteps.length} steps: the longest ` +
      `${Math.max(...rollUpSteps).toFixed(0)} ms`,
  );
  console.log(
    `${pruned} of them pruned in ${steps.length} steps of ${stepRows}: median ${median(steps).toFixed(1)} ms, ` +
      `99 % ${at(steps, 0.99).toFixed(1)} ms, the longest ${Math.max(...steps).toFixed(1)} ms, ` +
      `${(pruned / (steps.reduce((sum, ms) => sum + ms, 0) / 1_000)).toFixed(0)} rows/s`,
  );
  const ratios = (['claim', 'settle'] as const).map((step) => {
    const [a, b] = [median(alone[step]), median(beside[step])];
    console.log(
      `${step.padEnd(7)} of 30: alone ${a.toFixed(1)} ms (95 % ${at(alone[step], 0.95).toFixed(1)}), beside pruning ` +
        `${b.toFixed(1)} ms (95 % ${at(beside[step], 0.95).toFixed(1)}), ratio ${(b / a).toFixed(2)} of ${alone[step].length} and ${beside[step].length} ticks`,
    );
    return b / a;
  });
  const lost = rows[0].sent !== done || rows[0].pending !== due - done || pruned !== settled;
  if (lost) console.error(`The remaining rows are wrong: ${JSON.stringify({ ...rows[0], done, pruned })}`);
  if (lost || Math.max(...steps) > 1_000 || ratios.some((ratio) => ratio > 2)) process.exitCode = 1;
} finally {
  for (const client of clients) await client.end();
  await stack.stop();
}
