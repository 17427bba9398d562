-- What each account has done and may do next, per queue. The settings here, where they are set, are the queue's own for this account.
--
-- ready_at is only where a claim looks first: whether the account may go is judged by account_opening()
-- under the lock of this row, at the claim.
create table punctual.pace (
  queue text not null references punctual.queues on delete cascade,
  account_id uuid not null references punctual.accounts on delete cascade,
  provider text not null,
  daily_limit integer check (daily_limit >= 0),
  hourly_limit integer check (hourly_limit between 1 and 1000),
  gap_seconds integer check (gap_seconds between 0 and 86400),
  gap_jitter_seconds integer check (gap_jitter_seconds between 0 and 86400),
  hours jsonb check (hours is null or punctual.is_hours(hours)),
  -- Claims of the day that ends then, and when the first of them was made.
  used integer not null default 0,
  used_until timestamptz,
  used_since timestamptz,
  -- When its latest claims were made, oldest first: as many as its hourly limit, and 30 at least. One that had no effect is taken out.
  recent timestamptz[] not null default '{}',
  -- How often in a row the provider said that it is too much.
  limited integer not null default 0,
  -- What the provider refused last of this queue's rows, or of everything: as count_refusal() has it; null after anything else that it answered.
  refused jsonb,
  -- Addressees that the provider holds back: {addressee: {until, count, said}}.
  held jsonb,
  -- Not worth a look before this; '-infinity' where nobody knows better.
  next_ok_at timestamptz not null default '-infinity',
  waiting_for text,
  -- Since when it has had work to do; in the future when the next is known; null when none is known.
  ready_at timestamptz,
  -- The claim of the row that is running now, and the end of its lease.
  claim_id uuid,
  busy_until timestamptz,
  -- Its head failed and is tried again then; the rows behind it wait, since they go in order.
  retry_at timestamptz,
  primary key (queue, account_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);
-- The provider first, so that no plan takes it for the way to one account's row.
create index pace_ready on punctual.pace (provider, queue, ready_at);
create index pace_held on punctual.pace (queue) where held is not null;
create index pace_refused on punctual.pace (queue) where refused is not null;
