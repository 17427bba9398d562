/**
 * Measures a claim of 100 rows with 10,000 and with 1,000,000 due rows, on real Postgres: `npm run bench:claim`.
 *
 * Every account has hours, daily and hourly limits, a gap and a ramp. With `--pace off` it has only a daily limit.
 *
 * Alternates between two databases, so that a slow moment of the machine affects both. Prints the medians, their ratio, and the plans of the
 * claim's statements at the larger size. Fails if a claim costs more than five times as much there.
 */

import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { type Stack, startStack } from '../tests/stack/start-stack.ts';
import { addDueDms, median, plansOf } from './due-dms.ts';
import { exchangesOf } from './exchange-call.ts';

const { values: flags } = parseArgs({
  options: {
    small: { type: 'string', default: '10000' },
    large: { type: 'string', default: '1000000' },
    accounts: { type: 'string', default: '10000' },
    settled: { type: 'string', default: '0' },
    rounds: { type: 'string', default: '40' },
    postgres: { type: 'string', default: '15' },
    pace: { type: 'string', default: 'on' },
  },
});

interface Side {
  rows: number;
  stack: Stack;
  client: Client;
  claimMs: number[];
  settleAndClaimMs: number[];
  idleMs: number[];
}

async function side(rows: number): Promise<Side> {
  const stack = await startStack({ postgres: flags.postgres as '15' | '18' });
  const client = new Client({ connectionString: stack.databaseUrl });
  await client.connect();
  await addDueDms(client, {
    rows,
    accounts: Number(flags.accounts),
    settled: Number(flags.settled),
    paced: flags.pace === 'on',
  });
  return { rows, stack, client, claimMs: [], settleAndClaimMs: [], idleMs: [] };
}

/** Runs one tick: a claim of 100 rows, a settle of them with the next claim of 100, and a last settle. */
async function round(one: Side): Promise<void> {
  const tick = {
    id: crypto.randomUUID(),
    queue: 'dm_queue',
    partition: 'main',
    scheduler: 'bench',
    limit_seconds: 60,
    providers: ['unipile'],
  };
  const exchange = exchangesOf(one.client, tick);
  const claim = async (outcomes: object) => {
    const { rows, claimId, ms } = await exchange(outcomes, 100, false);
    if (rows.length !== 100) throw new Error(`the exchange claimed ${rows.length} rows and should claim 100`);
    const records = rows.map(({ id }) => ({
      id,
      claim_id: claimId,
      outcome: 'done',
      result: { provider_message_id: id },
    }));
    return { ms, outcomes: { records } };
  };
  const first = await claim({});
  const second = await claim(first.outcomes);
  await exchange(second.outcomes, 0, true);
  one.claimMs.push(first.ms);
  one.settleAndClaimMs.push(second.ms);
}

const sides = [await side(Number(flags.small)), await side(Number(flags.large))] as const;
try {
  for (let n = 0; n < Number(flags.rounds); n++) for (const one of sides) await round(one);
  const [small, large] = sides;
  const line = (label: string, key: 'claimMs' | 'settleAndClaimMs') => {
    // The first five rounds fill the caches of both databases.
    const [a, b] = [median(small[key].slice(5)), median(large[key].slice(5))];
    console.log(
      `${label.padEnd(34)} ${a.toFixed(1).padStart(8)} ms ${b.toFixed(1).padStart(8)} ms   ratio ${(b / a).toFixed(2)}`,
    );
    return b / a;
  };
  console.log(
    `\nPostgres ${flags.postgres}, ${flags.accounts} accounts, pace ${flags.pace}, ${flags.settled} settled rows, medians of ${Number(flags.rounds) - 5} rounds`,
  );
  console.log(`${''.padEnd(34)} ${`${small.rows} due`.padStart(11)} ${`${large.rows} due`.padStart(11)}`);
  const ratios = [
    line('first claim of 100 of a tick', 'claimMs'),
    line('settle 100 and claim 100', 'settleAndClaimMs'),
  ];
  console.log('\nPlans of the claim at the larger size:\n');
  console.log(await plansOf(large.client, () => round(large)));
  if (ratios.some((ratio) => ratio > 5)) {
    console.error('A claim costs more than five times as much at the larger size.');
    process.exitCode = 1;
  }
} finally {
  for (const one of sides) {
    await one.client.end();
    await one.stack.stop();
  }
}
