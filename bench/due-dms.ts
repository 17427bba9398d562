import type { Client } from 'pg';

/** `rows` due messages spread evenly over `accounts`, and `settled` sent ones; vacuumed, as autovacuum would leave them. */
export async function addDueDms(
  client: Client,
  { rows, accounts, settled }: { rows: number; accounts: number; settled: number },
): Promise<void> {
  await client.query(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
     select 'unipile', 'account-' || n, 'Account ' || n, 100000 from generate_series(1, $1::integer) n`,
    [accounts],
  );
  const insert = (status: string) =>
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at, status, attempts, finished_at)
     select a.id, 'linkedin', 'chat-' || n, 'message ' || n, now() - make_interval(secs => ($1::integer - n) / 10.0), '${status}',
            ${status === 'sent' ? '1, now()' : '0, null'}
       from generate_series(1, $1::integer) n
       join (select id, row_number() over () as number from punctual.accounts) a on a.number = 1 + n % $2::integer`;
  if (settled > 0) await client.query(insert('sent'), [settled, accounts]);
  if (rows > 0) await client.query(insert('pending'), [rows, accounts]);
  await client.query('update punctual.queues set batch_limit = null');
  await client.query('vacuum (analyze) punctual.dm_queue');
  await client.query('vacuum (analyze) punctual.accounts');
  await client.query('vacuum (analyze) punctual.pace');
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The plans of all statements that ran on the queue's table while `run` did, with their real times and rows. */
export async function plansOf(client: Client, run: () => Promise<unknown>): Promise<string> {
  const plans: string[] = [];
  const hear = (notice: { message?: string }) => {
    if (notice.message?.includes('plan:'))
      plans.push(notice.message.replace(/Query Text:[\s\S]*?\n(?=\S.*\(cost)/, ''));
  };
  client.on('notice', hear);
  await client.query("load 'auto_explain'");
  await client.query(`set client_min_messages = log; set auto_explain.log_min_duration = 0;
    set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on`);
  await run();
  await client.query("set auto_explain.log_min_duration = '-1'; set client_min_messages = notice");
  client.off('notice', hear);
  return plans.filter((plan) => plan.includes('dm_queue') || plan.includes('pace')).join('\n\n');
}
