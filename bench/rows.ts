/**
 * Measures what an operator does in a queue of 1,000,000 rows on real Postgres: `npm run bench:rows`. Lists and counts by each filter, and has 100,000
 * failed messages tried again while ticks of the same queue run. `--plans` also prints the plans of the lists. Fails if a list or a count takes more
 * than half a second, a page's other reads more than 150 ms, a step more than a second, or if a tick's claim takes more than 1.5 times as long beside the retry.
 */
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { startStack } from '../tests/stack/start-stack.ts';
import { addDueDms, median } from './due-dms.ts';
import { exchangesOf } from './exchange-call.ts';

const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    failed: { type: 'string', default: '100000' },
    due: { type: 'string', default: '100000' },
    accounts: { type: 'string', default: '10000' },
    postgres: { type: 'string', default: '15' },
    plans: { type: 'boolean', default: false },
  },
});
const [rows, failed, due] = [Number(flags.rows), Number(flags.failed), Number(flags.due)];

const stack = await startStack({ postgres: flags.postgres as '15' | '18' });
const connect = async () => {
  const client = new Client({ connectionString: stack.databaseUrl });
  await client.connect();
  return client;
};
const [client, ticking] = [await connect(), await connect()];

/** Returns the median milliseconds of five calls, after one that plans, and the last result. */
async function timed<T>(run: () => Promise<T>): Promise<{ ms: number; result: T }> {
  const times: number[] = [];
  let result = await run();
  for (let n = 0; n < 5; n++) {
    const startedAt = performance.now();
    result = await run();
    times.push(performance.now() - startedAt);
  }
  return { ms: median(times), result };
}

const call = async (fn: string, values: unknown[]) => {
  const { rows } = await client.query(
    `select punctual.${fn}(${values.map((_, n) => `$${n + 1}`)}) as result`,
    values,
  );
  return rows[0].result;
};

async function measureLists(): Promise<void> {
  const { rows: picked } = await client.query(
    `select account_id, id::text, addressee, claim_id from punctual.dm_queue where status = 'failed' order by finished_at offset 500 limit 1`,
  );
  const [{ account_id: account, id, addressee }] = picked;
  const hour = { finished_from: new Date(Date.now() - 3_600_000).toISOString() };
  const filters: [string, object, string | null][] = [
    ['all rows', {}, null],
    ...['pending', 'sent', 'failed', 'cancelled', 'unknown'].map((status): [string, object, null] => [
      status,
      { status: [status] },
      null,
    ]),
    ['failed and unknown', { status: ['failed', 'unknown'] }, null],
    ['pending, by account', { status: ['pending'], account }, null],
    ['failed, by account', { status: ['failed'], account }, null],
    ['sent, by account', { status: ['sent'], account }, null],
    ['failed, by addressee', { status: ['failed'], to: addressee }, null],
    ['failed, common text', { status: ['failed'], text: 'cannot be reached' }, null],
    ['failed, text of no row', { status: ['failed'], text: 'nothing has this' }, null],
    ['sent, text of no row', { status: ['sent'], text: 'nothing has this' }, null],
    ['one id', { ids: [id] }, null],
    ['failed in the last hour', { status: ['failed'], ...hour }, null],
    ['all, created in the last hour', { created_from: hour.finished_from }, null],
    [
      'pending, due in an hour',
      { status: ['pending'], due_from: new Date(Date.now() + 3_600_000).toISOString() },
      null,
    ],
    ['pending, latest due first', { status: ['pending'] }, '-due'],
    ['settled, oldest first', {}, 'finished'],
    ['failed, of a tick', { status: ['failed'], tick: crypto.randomUUID() }, null],
  ];
  console.log(`${'filter'.padEnd(32)} page of 50   next page   count`);
  for (const [name, filter, sort] of filters) {
    const list = (cursor: unknown) =>
      call('list_rows', ['dm_queue', JSON.stringify(filter), sort, 50, cursor && JSON.stringify(cursor)]);
    const page = await timed(() => list(null));
    const next = page.result.next && (await timed(() => list(page.result.next)));
    const count = await timed(() => call('count_matching', ['dm_queue', JSON.stringify(filter)]));
    const found = `${count.result.more ? 'more than ' : ''}${count.result.count}`;
    const times = [page.ms, next?.ms ?? 0, count.ms];
    console.log(
      `${name.padEnd(32)} ${times.map((ms) => `${ms.toFixed(1)} ms`.padStart(10)).join('  ')}  ${found}, ${page.result.items.length} on the page`,
    );
    if (Math.max(...times) > 500) process.exitCode = 1;
    if (flags.plans) await printPlan(filter, sort);
  }
}

/** Measures what pages read beside a list. Fails if one takes more than 150 ms. */
async function measurePages(): Promise<void> {
  const { rows: picked } = await client.query(
    `select id::text from punctual.dm_queue where status = 'failed' order by finished_at offset 500 limit 1`,
  );
  const failed = JSON.stringify({ status: ['failed'] });
  const common = JSON.stringify({ text: 'cannot be reached' });
  const day = (days: number) => [
    new Date(Date.now() - days * 86_400_000).toISOString(),
    new Date().toISOString(),
  ];
  const pages: [string, () => Promise<unknown>][] = [
    ['chart of a day', () => call('chart_rows', ['dm_queue', '{}', ...day(1)])],
    ['chart of 30 days', () => call('chart_rows', ['dm_queue', '{}', ...day(30)])],
    ['chart of 30 days, by text', () => call('chart_rows', ['dm_queue', common, ...day(30)])],
    ['neighbours of a failed row', () => call('read_neighbours', ['dm_queue', picked[0].id, failed])],
    ['the next six hours', () => call('forecast_hours', [])],
  ];
  console.log('');
  for (const [name, read] of pages) {
    const { ms } = await timed(read);
    console.log(`${name.padEnd(32)} ${ms.toFixed(1)} ms`);
    if (ms > 150) process.exitCode = 1;
  }
}

async function printPlan(filter: object, sort: string | null): Promise<void> {
  await client.query(`load 'auto_explain'`);
  await client.query(
    `set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on; set client_min_messages = log`,
  );
  const notices: string[] = [];
  const keep = ({ message }: { message?: string }) => notices.push(message ?? '');
  client.on('notice', keep);
  await call('list_rows', ['dm_queue', JSON.stringify(filter), sort, 50, null]);
  client.off('notice', keep);
  await client.query(`set auto_explain.log_min_duration = -1; reset client_min_messages`);
  console.log(
    notices
      .filter((text) => text.includes('with scanned'))
      .map((text) => text.slice(text.indexOf('\n  ->')))
      .join('\n'),
  );
}

/** Runs one tick of 30 rows, and returns its claim's milliseconds. */
async function tick(): Promise<number> {
  const exchange = exchangesOf(ticking, {
    id: crypto.randomUUID(),
    queue: 'dm_queue',
    partition: 'main',
    scheduler: 'bench',
    limit_seconds: 60,
    providers: ['unipile'],
  });
  const startedAt = performance.now();
  const { rows, claimId } = await exchange({}, 30, false);
  const claimMs = performance.now() - startedAt;
  const records = rows.map(({ id }) => ({
    id,
    claim_id: claimId,
    outcome: 'done',
    result: { provider_message_id: id },
  }));
  await exchange({ records }, 0, true);
  return claimMs;
}

async function measureRetry(): Promise<void> {
  const alone: number[] = [];
  for (let n = 0; n < 100; n++) alone.push(await tick());
  const preview = await timed(() =>
    call('start_action', ['dm_queue', 'retry', '{"status": ["failed"]}', '{}', 'bench', null, null, true]),
  );
  console.log(
    `\ndry run: ${preview.ms.toFixed(1)} ms, ${preview.result.more ? 'more than ' : ''}${preview.result.count} rows`,
  );
  const startedAt = performance.now();
  let action = await call('start_action', [
    'dm_queue',
    'retry',
    '{"status": ["failed"]}',
    '{}',
    'bench',
    null,
  ]);
  console.log(`start: ${(performance.now() - startedAt).toFixed(1)} ms, ${action.total} rows taken at once`);
  const beside: number[] = [];
  const steps: number[] = [];
  let isOver = false;
  const ticks = (async () => {
    while (!isOver) beside.push(await tick());
  })();
  while (action.state === 'collecting' || action.state === 'running') {
    const stepAt = performance.now();
    action = (await call('run_action', [action.id])) ?? action;
    steps.push(performance.now() - stepAt);
  }
  isOver = true;
  await ticks;
  const seconds = (performance.now() - startedAt) / 1_000;
  const ratio = median(beside) / median(alone);
  console.log(
    `retry of ${action.written} rows (${action.skipped} skipped): ${seconds.toFixed(1)} s in ${steps.length} steps, median ${median(steps).toFixed(1)} ms, longest ${Math.max(...steps).toFixed(1)} ms`,
  );
  console.log(
    `a tick's claim: ${median(alone).toFixed(1)} ms alone, ${median(beside).toFixed(1)} ms beside the retry (${ratio.toFixed(2)} times, ${beside.length} ticks)`,
  );
  const read = await timed(() => call('read_action', [action.id]));
  console.log(`the action's page: ${read.ms.toFixed(1)} ms`);
  if (ratio > 1.5 || Math.max(...steps) > 1_000 || action.state !== 'done') process.exitCode = 1;
}

try {
  await addDueDms(client, { rows: due, accounts: Number(flags.accounts), settled: rows - due });
  await client.query(
    `update punctual.dm_queue set status = 'failed', last_error = 'unipile 422: the recipient cannot be reached', finished_at = now() - (id % 86400) * interval '1 s'
      where status = 'sent' and id % $1 = 0`,
    [Math.floor((rows - due) / failed)],
  );
  await client.query(
    `update punctual.dm_queue set finished_at = now() - (id % 2592000) * interval '1 s' where status = 'sent'`,
  );
  await client.query('vacuum (analyze) punctual.dm_queue');
  await measureLists();
  await measurePages();
  await measureRetry();
} finally {
  await client.end();
  await ticking.end();
  await stack.stop();
}
