-- The pace of each account in each queue: its recent claims, its waits, and the queue's own settings for it, if set.
--
-- A claim finds accounts by ready_at. Then account_opening() decides under the lock of this row whether the account may send.
create table punctual.pace (
  queue text not null references punctual.queues on delete cascade,
  account_id uuid not null references punctual.accounts on delete cascade,
  provider text not null,
  daily_limit integer check (daily_limit >= 0),
  hourly_limit integer check (hourly_limit between 1 and 1000),
  gap_seconds integer check (gap_seconds between 0 and 86400),
  gap_jitter_seconds integer check (gap_jitter_seconds between 0 and 86400),
  hours jsonb check (hours is null or punctual.is_hours(hours)),
  -- The number of claims in the current day, the end of that day, and the instant of its first claim.
  used integer not null default 0,
  used_until timestamptz,
  used_since timestamptz,
  -- The instants of the latest claims, oldest first: one more than the hourly limit, and 30 at least. A claim without effect is removed.
  recent timestamptz[] not null default '{}',
  -- Rate limits of the account in a row.
  limited integer not null default 0,
  -- The provider's latest refusals in a row, of this queue's rows or of every row: see count_refusal(). Null after any other response.
  refused jsonb,
  -- Addressees that the provider limits: {addressee: {until, count, said}}.
  limited_addressees jsonb,
  -- The account may not send before this instant; '-infinity' if unknown.
  next_ok_at timestamptz not null default '-infinity',
  waiting_for text,
  -- Since when the account has had a row to send. In the future if that is when it gets one; null if no row is known.
  ready_at timestamptz,
  -- The claim of the account's running row, and the end of its lease.
  claim_id uuid,
  busy_until timestamptz,
  -- When the account's first row is retried. The rows behind it wait, because they go out in order.
  retry_at timestamptz,
  primary key (queue, account_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);
-- Begins with the provider, so that no plan uses it to find one account's row.
create index pace_ready on punctual.pace (provider, queue, ready_at);
create index pace_limited_addressees on punctual.pace (queue) where limited_addressees is not null;
create index pace_refused on punctual.pace (queue) where refused is not null;
