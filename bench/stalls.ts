/**
 * Finds the longest calls of a night in which the clocks change, on real Postgres beside busy cores: `npm run bench:stalls`.
 *
 * 100,000 accounts whose inserts fired no trigger, 1,000,000 messages, and ticks from 22:30 UTC to the morning, some of which die. Between them:
 * replies, enrolments, the roll-up, retention and the dashboard's statistics. Fails if a call fails or takes longer than 1.5 s.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { startStack } from '../tests/stack/start-stack.ts';

const { values: flags } = parseArgs({
  options: {
    accounts: { type: 'string', default: '100000' },
    rows: { type: 'string', default: '1000000' },
    people: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: '330' },
    every: { type: 'string', default: '10' },
    burners: { type: 'string', default: '2' },
    most: { type: 'string', default: '1500' },
    postgres: { type: 'string', default: '15' },
  },
});
const start = Date.parse('2026-03-28T22:30:00Z');
const stack = await startStack({ postgres: flags.postgres as '15' | '18' });
const client = new Client({ connectionString: stack.databaseUrl });
await client.connect();
const burners: ChildProcess[] = [];

let now = start;
const calls: { kind: string; ms: number; cpuMs: number; minute: number; error?: string }[] = [];

/** Returns the processor time of our backend, which other load does not change; NaN except on Linux. */
function cpuMs(): number {
  try {
    const fields =
      readFileSync(`/proc/${(client as unknown as { processID: number }).processID}/stat`, 'utf8')
        .split(') ')[1]
        ?.split(' ') ?? [];
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return Number.NaN;
  }
}

/** Calls a SQL function at the simulated time `now`, and records the duration. */
// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
async function call(kind: string, fn: string, args: Record<string, unknown>): Promise<any> {
  const names = Object.keys(args);
  const parameters = [...names.map((name, i) => `${name} => $${i + 2}`), 'p_now => $1'].join(', ');
  const values = names.map((name) => {
    const value = args[name];
    return value !== null && typeof value === 'object' ? JSON.stringify(value) : value;
  });
  const at = performance.now();
  const entry = { kind, ms: 0, cpuMs: -cpuMs(), minute: (now - start) / 60_000 };
  calls.push(entry);
  try {
    const { rows } = await client.query(`select punctual.${fn}(${parameters}) as result`, [
      new Date(now).toISOString(),
      ...values,
    ]);
    return rows[0].result;
  } catch (error) {
    Object.assign(entry, { error: (error as { code?: string }).code ?? String(error) });
    return null;
  } finally {
    entry.ms = performance.now() - at;
    entry.cpuMs += cpuMs();
  }
}

async function tick(queue: string, { exchanges = 12, dies = false } = {}): Promise<void> {
  const identity = {
    id: crypto.randomUUID(),
    queue,
    partition: 'main',
    scheduler: 'bench',
    limit_seconds: 60,
    providers: ['unipile'],
  };
  let records: object[] = [];
  for (let n = 1; n <= exchanges; n++) {
    const reply = await call(`${queue}: ${n === 1 ? 'first exchange' : 'exchange'}`, 'exchange', {
      p_tick: identity,
      p_seq: n,
      p_outcomes: { records },
      p_want: n === exchanges ? 0 : null,
      p_close: true,
    });
    if (!reply || reply.closed || dies) return;
    const claimId = reply.claim_id;
    records = reply.rows.map(({ id, facts }: { id: string; facts?: { outcome: string } }) =>
      queue === 'enrolments'
        ? { id, claim_id: claimId, outcome: facts?.outcome, delay_seconds: 1 }
        : { id, claim_id: claimId, outcome: 'done', result: { provider_message_id: id } },
    );
  }
}

async function fill(): Promise<void> {
  const rows = Number(flags.rows);
  // As after a restore: no trigger has created the accounts' rows in `pace`.
  await client.query(`set session_replication_role = replica`);
  await client.query(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit, hourly_limit, gap_seconds, time_zone, hours)
     select 'unipile', 'account-' || n, 'Account ' || n, 30, 20, 60,
            (array['Europe/Berlin', 'Europe/London', 'Europe/Athens', 'Atlantic/Azores'])[1 + n % 4],
            jsonb_build_object('sat', jsonb_build_array('09:00-12:00'), 'sun', jsonb_build_array('0' || 2 + n % 4 || ':30-12:00'))
       from generate_series(1, $1::integer) n`,
    [Number(flags.accounts)],
  );
  await client.query(`set session_replication_role = origin`);
  const insert = (share: number, columns: string, values: string) =>
    client.query(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, ${columns})
       select a.id, 'linkedin', 'chat-' || n, 'message ' || n, ${values}
         from generate_series(1, $1::integer) n
         join (select id, row_number() over () as number from punctual.accounts) a on a.number = 1 + n % $3::integer
        where $2::timestamptz is not null`,
      [Math.round(rows * share), new Date(start).toISOString(), Number(flags.accounts)],
    );
  await insert(0.5, 'send_at', `$2::timestamptz - make_interval(secs => n / 10.0)`);
  await insert(
    0.1,
    'send_at, expires_at',
    `$2::timestamptz - interval '1 hour', $2::timestamptz + n % 300 * interval '1 minute'`,
  );
  await insert(
    0.4,
    'send_at, status, attempts, finished_at',
    `$2::timestamptz - n % 7 * interval '1 day' - interval '1 hour', 'sent', 1, $2::timestamptz - n % 120 * interval '1 day'`,
  );
  await client.query(
    `update punctual.queues set batch_limit = null, concurrency = 500 where name = 'dm_queue'`,
  );
  for (const table of ['dm_queue', 'accounts', 'pace'])
    await client.query(`vacuum (analyze) punctual.${table}`);
}

/** Enrols people in a sequence with sending hours, 1,000 a call. */
async function enrol(): Promise<void> {
  const question = { kind: 'question', delay_seconds: 0, body: 'hello', on_reply: 'continue' };
  const hours = { sun: ['02:30-23:00'] };
  const sequence = await call('create_sequence', 'create_sequence', {
    p_sequence: {
      name: 'bench',
      channel: 'linkedin',
      steps: [
        { ...question, hours },
        { ...question, delay_seconds: 3_600, hours },
      ],
    },
  });
  const { rows: accounts } = await client.query('select id from punctual.accounts order by id limit 1000');
  for (let first = 0; first < Number(flags.people); first += 1_000) {
    const people = accounts.map(({ id }, n) => ({
      account_id: id,
      chat_id: `reply-${first + n}`,
      recipient: `person-${first + n}`,
      start_at: new Date(now + n * 1_000).toISOString(),
    }));
    await call('enrol_people', 'enrol_people', { p_sequence_id: sequence.id, p_people: people });
  }
}

async function receiveReplies(from: number, count: number): Promise<void> {
  const { rows: accounts } = await client.query(
    'select provider_account_id as id from punctual.accounts order by punctual.accounts.id limit 1000',
  );
  for (let first = from; first < from + count; first += 500) {
    const receipts = Array.from({ length: 500 }, (_, n) => ({
      kind: 'message',
      status: 'received',
      message_id: `reply-${first + n}`,
      provider_account_id: accounts[(first + n) % 1_000]?.id,
      chat_id: `reply-${first + n}`,
      body: 'hi',
      said_at: new Date(now).toISOString(),
    }));
    await call('receive_receipts of 500', 'receive_receipts', {
      p_provider: 'unipile',
      p_receipts: receipts,
    });
  }
}

try {
  await fill();
  for (let n = 0; n < Number(flags.burners); n++) burners.push(spawn(process.execPath, ['-e', 'for (;;);']));
  await enrol();
  const steps = Math.floor(Number(flags.minutes) / Number(flags.every));
  for (let n = 0; n <= steps; n++) {
    now = start + n * Number(flags.every) * 60_000;
    await tick('dm_queue', { dies: n % 5 === 3 });
    await tick('enrolments', { exchanges: 6 });
    if (n % 8 === 4) await receiveReplies((n * 250) % Number(flags.people), 2_000);
    if (n % 6 === 2) await call('read_stats', 'read_stats', {});
    if (n % 6 === 3) await call('prune', 'prune', { p_limit: 1_000 });
    if (n % 4 === 1) await call('roll_up', 'roll_up', {});
  }
} finally {
  for (const burner of burners) burner.kill('SIGKILL');
  await client.end();
  await stack.stop();
}

const kinds = [...new Set(calls.map((one) => one.kind))];
console.log(
  `\nPostgres ${flags.postgres}, ${flags.accounts} accounts, ${flags.rows} rows, beside ${flags.burners} busy processes\n`,
);
console.log(
  `${''.padEnd(30)} ${'calls'.padStart(6)} ${'median'.padStart(10)} ${'longest'.padStart(10)} ${'processor'.padStart(10)}  at minute`,
);
for (const kind of kinds) {
  const some = calls.filter((one) => one.kind === kind).sort((a, b) => a.ms - b.ms);
  const [middle, longest] = [some[Math.floor(some.length / 2)], some[some.length - 1]];
  console.log(
    `${kind.padEnd(30)} ${String(some.length).padStart(6)} ${middle?.ms.toFixed(0).padStart(7)} ms ${longest?.ms.toFixed(0).padStart(7)} ms ${Math.max(
      ...some.map((one) => one.cpuMs),
    )
      .toFixed(0)
      .padStart(7)} ms  ${longest?.minute}`,
  );
}
const failed = calls.filter(({ error }) => error);
const long = calls.filter(({ ms }) => ms > Number(flags.most));
for (const { kind, error, minute } of failed) console.log(`${kind} at minute ${minute}: ${error}`);
console.log(
  `\n${long.length} of ${calls.length} calls took longer than ${flags.most} ms; ${failed.length} failed.`,
);
if (long.length + failed.length > 0) process.exitCode = 1;
