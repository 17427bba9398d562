import type { Client } from 'pg';

/** The pace of every account. The claim checks every setting, and none stops an account for long. */
const pace = `hourly_limit = 1000, gap_seconds = 1, gap_jitter_seconds = 1, ramp_started_on = current_date - 5,
  hours = (select jsonb_object_agg(day, '["00:00-12:00", "12:00-24:00"]'::jsonb)
             from unnest('{mon,tue,wed,thu,fri,sat,sun}'::text[]) day),
  time_zone = (array['Europe/Berlin', 'America/New_York', 'Asia/Tokyo', 'Australia/Lord_Howe', 'UTC'])[1 + abs(hashtext(id::text)) % 5]`;

/**
 * Adds `rows` due and `settled` sent messages, spread evenly over `accounts`, and vacuums the tables as autovacuum does. `paced` accounts have
 * hours, an hourly limit, a gap, a ramp and time zones; others have only a daily limit.
 */
export async function addDueDms(
  client: Client,
  {
    rows,
    accounts,
    settled,
    paced = false,
  }: { rows: number; accounts: number; settled: number; paced?: boolean },
): Promise<void> {
  await client.query(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
     select 'unipile', 'account-' || n, 'Account ' || n, 100000 from generate_series(1, $1::integer) n`,
    [accounts],
  );
  if (paced) await client.query(`update punctual.accounts set ${pace}`);
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

/** Returns the plans of the statements on `dm_queue` and `pace` during `run`, with their real times and rows. */
export async function plansOf(client: Client, run: () => Promise<unknown>): Promise<string> {
  const plans: string[] = [];
  const onNotice = (notice: { message?: string }) => {
    if (notice.message?.includes('plan:'))
      plans.push(notice.message.replace(/Query Text:[\s\S]*?\n(?=\S.*\(cost)/, ''));
  };
  client.on('notice', onNotice);
  await client.query("load 'auto_explain'");
  await client.query(`set client_min_messages = log; set auto_explain.log_min_duration = 0;
    set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on`);
  await run();
  await client.query("set auto_explain.log_min_duration = '-1'; set client_min_messages = notice");
  client.off('notice', onNotice);
  return plans.filter((plan) => plan.includes('dm_queue') || plan.includes('pace')).join('\n\n');
}
