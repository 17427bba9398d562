/**
 * Compares the cost of an exchange with that of another commit, on real Postgres: `npm run bench:exchange -- --against 534848d`.
 *
 * Alternates between two databases on one server, so that a slow moment of the machine affects both. Each has a plain queue with 100,000 due rows,
 * and `dm_queue` with as many rows and 10,000 accounts. Each exchange settles a number of rows and claims as many. Prints medians in milliseconds,
 * over one connection like those of the Data API, and their ratios.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { migratePostgres } from '../lib/store/migrate/migrate-postgres.ts';
import { readMigrations } from '../lib/store/migrate/migrations.ts';
import { type PostgresVersion, startPostgresServer } from '../tests/stack/postgres-server.ts';
import { addDueDms, median } from './due-dms.ts';
import { exchangesOf, formerExchangesOf } from './exchange-call.ts';

const { values: flags } = parseArgs({
  options: {
    against: { type: 'string' },
    rows: { type: 'string', default: '100000' },
    accounts: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '15' },
    postgres: { type: 'string', default: '15' },
  },
});

const shapes = [
  { name: 'idle', queue: 'jobs', partition: 'default', rows: 0 },
  { name: 'plain, 10 rows', queue: 'items', partition: 'main', rows: 10 },
  { name: 'plain, 500 rows', queue: 'items', partition: 'main', rows: 500 },
  { name: 'dm_queue, 10 rows', queue: 'dm_queue', partition: 'main', rows: 10 },
  { name: 'dm_queue, 500 rows', queue: 'dm_queue', partition: 'main', rows: 500 },
];

/** Reads the migrations of a commit, or those of the working tree. */
function migrationsOf(commit: string | undefined) {
  if (!commit) return readMigrations();
  const folder = mkdtempSync(path.join(tmpdir(), 'punctual-migrations-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const archive = execFileSync('git', ['archive', commit, 'supabase/migrations'], { maxBuffer: 2 ** 26 });
  execFileSync('tar', ['-x', '-C', folder, '--strip-components=2'], { input: archive });
  return readMigrations(folder);
}

async function open(serverUrl: string, commit: string | undefined): Promise<Client> {
  const url = new URL(serverUrl);
  url.pathname = `/${commit ? 'theirs' : 'ours'}`;
  const admin = new Client({ connectionString: serverUrl });
  await admin.connect();
  await admin.query(`create database ${url.pathname.slice(1)}`);
  await admin.end();
  await migratePostgres(url.href, await migrationsOf(commit));
  const client = new Client({ connectionString: url.href });
  // If a round fails, the server stops and closes this connection. The round's error is the one to report.
  client.on('error', () => {});
  await client.connect();
  await client.query(`create table public.items (id bigint generated always as identity primary key, body text, due timestamptz);
    select punctual.add_queue('items', 'public.items', 'due', 'at-least-once', p_settings => '{"concurrency": 1000}');
    insert into public.items (body, due) select 'item ' || n, now() - make_interval(secs => n / 10.0) from generate_series(1, ${flags.rows}) n`);
  await addDueDms(client, { rows: Number(flags.rows), accounts: Number(flags.accounts), settled: 0 });
  await client.query('vacuum (analyze) public.items');
  return client;
}

/** Whether the commit's exchanges are numbered: before 624e78e they named their claim. */
async function isNumbered(client: Client): Promise<boolean> {
  const { rows } = await client.query(
    `select pg_get_function_arguments('punctual.exchange'::regproc) like '%p_seq%' as numbered`,
  );
  return rows[0].numbered;
}

/** Runs a tick with three exchanges: claim, settle and claim, settle. Returns the milliseconds of the second, or of an idle tick's only one. */
async function round(
  client: Client,
  { queue, partition, rows }: (typeof shapes)[number],
  exchangesFor: typeof exchangesOf,
): Promise<number> {
  const tick = {
    id: crypto.randomUUID(),
    queue,
    partition,
    scheduler: 'bench',
    limit_seconds: 60,
    providers: ['unipile'],
  };
  const exchange = exchangesFor(client, tick);
  const claim = async (settled: object, want: number) => {
    const reply = await exchange(settled, want, false);
    if (reply.rows.length !== want)
      throw new Error(`the exchange claimed ${reply.rows.length} rows of ${queue} and should claim ${want}`);
    const { claimId } = reply;
    const ids = reply.rows.map(({ id }) => id);
    const outcomes =
      queue === 'dm_queue'
        ? {
            records: ids.map((id) => ({
              id,
              claim_id: claimId,
              outcome: 'done',
              result: { provider_message_id: id },
            })),
          }
        : { done: [{ claim_id: claimId, ids }] };
    return { ms: reply.ms, outcomes };
  };
  if (rows === 0) return (await exchange({}, 5, true)).ms;
  const first = await claim({}, rows);
  const second = await claim(first.outcomes, rows);
  await exchange(second.outcomes, 0, true);
  return second.ms;
}

const server = await startPostgresServer(flags.postgres as PostgresVersion, {
  fsync: 'off',
  synchronous_commit: 'off',
  autovacuum: 'off',
});
try {
  const ours = await open(server.url, undefined);
  const theirs = flags.against ? await open(server.url, flags.against) : null;
  const theirExchanges = theirs && (await isNumbered(theirs)) ? exchangesOf : formerExchangesOf;
  const times = new Map(shapes.map((shape) => [shape, { ours: [] as number[], theirs: [] as number[] }]));
  for (let n = 0; n < Number(flags.rounds); n++) {
    for (const [shape, one] of times) {
      // Five in a row, because the first finds the processor's caches filled by the other database.
      for (let m = 0; m < 5; m++) one.ours.push(await round(ours, shape, exchangesOf));
      for (let m = 0; theirs && m < 5; m++) one.theirs.push(await round(theirs, shape, theirExchanges));
    }
  }
  console.log(
    `\nPostgres ${flags.postgres}, ${flags.rows} rows, ${flags.accounts} accounts, medians of ${flags.rounds} rounds of five in ms`,
  );
  for (const [{ name }, one] of times) {
    // The first rounds fill the caches of both databases.
    const [a, b] = [median(one.ours.slice(5)), median(one.theirs.slice(5))];
    console.log(
      `${name.padEnd(20)} ${a.toFixed(2).padStart(8)}${theirs ? `   ${flags.against} ${b.toFixed(2).padStart(8)}   ratio ${(a / b).toFixed(2)}` : ''}`,
    );
  }
  await ours.end();
  await theirs?.end();
} finally {
  await server.stop();
}
