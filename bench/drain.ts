/** Drains 20,000 jobs by each contender in turn: `npx tsx bench/drain.ts [--rows 20000] [--rounds 3] [--only WORDS]`. */
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { postgresRpc } from '../lib/store/postgres-rpc.ts';
import { supabaseRpc } from '../lib/store/supabase-rpc.ts';
import { bullmq } from './contenders/bullmq.ts';
import type { Contender } from './contenders/contender.ts';
import { graphileWorker } from './contenders/graphile-worker.ts';
import { pgBoss } from './contenders/pg-boss.ts';
import { punctual } from './contenders/punctual.ts';
import { tutorialLoop } from './contenders/tutorial-loop.ts';
import { median } from './due-dms.ts';
import { startServers } from './servers.ts';

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
});
const servers = await startServers();
const owner = new Client({ connectionString: servers.databaseUrl });
await owner.connect();
const sql = (text: string, params?: unknown[]) => owner.query(text, params);
const rest = supabaseRpc({ url: servers.supabaseUrl, serviceRoleKey: servers.serviceRoleKey });
const direct = postgresRpc({ url: servers.databaseUrl });
const keep = async () => {};
const most = 'at-least-once' as const;
const contenders: [make: () => Promise<Contender>, rows: number][] = [
  [
    () =>
      punctual(rest, sql, { name: 'Punctual REST 1x500', delivery: most, concurrency: 500, ticks: 1 }, keep),
    Number(flags.rows),
  ],
  [
    () =>
      punctual(rest, sql, { name: 'Punctual REST 2x500', delivery: most, concurrency: 500, ticks: 2 }, keep),
    Number(flags.rows),
  ],
  [
    () =>
      punctual(
        direct.rpc,
        sql,
        { name: 'Punctual direct 1x500', delivery: most, concurrency: 500, ticks: 1 },
        keep,
      ),
    Number(flags.rows),
  ],
  [
    () =>
      punctual(
        direct.rpc,
        sql,
        { name: 'Punctual direct 2x500', delivery: most, concurrency: 500, ticks: 2 },
        keep,
      ),
    Number(flags.rows),
  ],
  [
    () => graphileWorker(servers, { name: 'graphile-worker best', concurrentJobs: 50, best: true }),
    Number(flags.rows),
  ],
  [() => pgBoss(servers, { name: 'pg-boss best', batch: 1000, lanes: 2 }), Number(flags.rows)],
  [() => bullmq(servers, { name: 'BullMQ 100', concurrency: 100 }), Number(flags.rows)],
  [() => tutorialLoop(servers), 500],
];
const made: { contender: Contender; rows: number; rates: number[]; cpu: number[] }[] = [];
for (const [make, rows] of contenders) {
  const contender = await make();
  if (contender.name.includes(flags.only)) made.push({ contender, rows, rates: [], cpu: [] });
}
for (let round = 0; round <= Number(flags.rounds); round++) {
  for (const one of made) {
    await one.contender.enqueue(one.rows);
    const cpu = process.cpuUsage();
    const startedAt = performance.now();
    await one.contender.drain(one.rows, () => {});
    const seconds = (performance.now() - startedAt) / 1000;
    const used = process.cpuUsage(cpu);
    // The first round warms up.
    if (round > 0) {
      one.rates.push(one.rows / seconds);
      one.cpu.push((used.user + used.system) / one.rows);
    }
  }
}
for (const { contender, rates, cpu } of made)
  console.log(
    `${contender.name.padEnd(28)} ${Math.round(median(rates)).toString().padStart(7)} rows/s   node ${median(cpu).toFixed(0)} µs/row   ${rates.map(Math.round).join(' ')}`,
  );
for (const { contender } of made) await contender.close();
await owner.end();
await direct.close();
await servers.stop();
process.exit(0);
