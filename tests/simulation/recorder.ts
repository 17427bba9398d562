/** SQL for the number of rows that the transaction has read and written so far, as Postgres counts them. */
export const touched = (where: string) =>
  `select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del + seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) as count from pg_stat_xact_user_tables where ${where}`;

/**
 * SQL that records every change of a row and of a setting in the schema `simulation`, numbered in the order of the changes. The invariants
 * read this record and none of Punctual's own reports.
 */
export const recorder = `
create schema simulation;
-- Replaces the machine's clock: a call's age is the simulated time that its touched rows take.
create or replace function punctual.is_call_over() returns boolean language plpgsql set search_path = '' as $$
declare
  v_row_ms double precision := nullif(current_setting('simulation.row_ms', true), '');
  v_call_ms double precision := coalesce(nullif(current_setting('punctual.call_ms', true), ''), '1000');
begin
  if v_row_ms is null then return v_call_ms = 0; end if;
  return v_row_ms * ((${touched('true')}) - current_setting('simulation.touched')::bigint) >= v_call_ms;
end
$$;
create sequence simulation.places;

-- Rows of dm_queue, posts and jobs, with the names of the states. A deleted row goes to the state 'gone', and simulation.gone keeps its content.
create table simulation.transitions (
  place bigint primary key default nextval('simulation.places'),
  call integer not null default current_setting('simulation.call')::integer,
  at timestamptz not null default current_setting('simulation.now')::timestamptz,
  queue text not null,
  row_id text not null,
  account_id uuid,
  part text,
  from_status text,
  to_status text not null,
  claim_id uuid,
  attempts integer not null,
  priority integer not null,
  due_at timestamptz,
  expires_at timestamptz,
  open_until timestamptz,
  lease_expires_at timestamptz,
  finished_at timestamptz,
  last_error text
);
create table simulation.gone (queue text not null, row_id text not null, call integer not null default current_setting('simulation.call')::integer, content jsonb not null);
create function simulation.state_of(p_word text) returns text language sql immutable as $$
  select case when p_word in ('sending', 'publishing') then 'running' when p_word in ('sent', 'published') then 'done'
              when p_word = 'scheduled' then 'pending' when p_word = 'failed' then 'dead' else p_word end
$$;
create function simulation.record_transition() returns trigger language plpgsql as $$
declare
  v_queue text := tg_argv[0];
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) else v_old end;
  v_due text := tg_argv[1];
begin
  if tg_op = 'UPDATE' and v_old->'status' = v_new->'status' and v_old->'priority' = v_new->'priority' and v_old->'claim_id' = v_new->'claim_id'
     and coalesce(v_old->>'next_attempt_at', v_old->>v_due) is not distinct from coalesce(v_new->>'next_attempt_at', v_new->>v_due)
     and v_old->'open_until' is not distinct from v_new->'open_until' then
    return null;
  end if;
  insert into simulation.transitions (queue, row_id, account_id, part, from_status, to_status, claim_id, attempts, priority, due_at, expires_at,
    open_until, lease_expires_at, finished_at, last_error)
  values (v_queue, v_new->>'id', (v_new->>'account_id')::uuid, v_new->>'queue', simulation.state_of(v_old->>'status'),
    case when tg_op = 'DELETE' then 'gone' else simulation.state_of(v_new->>'status') end,
    (v_new->>'claim_id')::uuid, (v_new->>'attempts')::integer, (v_new->>'priority')::integer,
    coalesce(v_new->>'next_attempt_at', v_new->>v_due)::timestamptz, (v_new->>'expires_at')::timestamptz, (v_new->>'open_until')::timestamptz,
    (v_new->>'lease_expires_at')::timestamptz, (v_new->>'finished_at')::timestamptz, v_new->>'last_error');
  if tg_op = 'DELETE' then insert into simulation.gone (queue, row_id, content) values (v_queue, v_old->>'id', v_old); end if;
  return null;
end
$$;
create trigger record_transition after insert or update or delete on punctual.dm_queue
  for each row execute function simulation.record_transition('dm_queue', 'send_at');
create trigger record_transition after insert or update or delete on punctual.posts
  for each row execute function simulation.record_transition('posts', 'scheduled_for');
create trigger record_transition after insert or update or delete on punctual.jobs
  for each row execute function simulation.record_transition('jobs', 'run_at');

create table simulation.enrolment_changes (
  place bigint primary key default nextval('simulation.places'),
  call integer not null default current_setting('simulation.call')::integer,
  at timestamptz not null,
  enrolment_id text not null,
  from_status text,
  to_status text not null,
  claim_id uuid,
  phase text not null,
  step integer not null,
  action text not null,
  next_step_at timestamptz,
  message_id text,
  paused boolean not null
);
create function simulation.record_enrolment() returns trigger language plpgsql as $$
begin
  insert into simulation.enrolment_changes (at, enrolment_id, from_status, to_status, claim_id, phase, step, action, next_step_at, message_id, paused)
  values (current_setting('simulation.now')::timestamptz, new.id::text, case when tg_op = 'UPDATE' then old.status end, new.status, new.claim_id,
    new.phase, new.step, new.action, coalesce(new.next_attempt_at, new.next_step_at), new.message_id::text, new.paused_at is not null);
  return null;
end
$$;
create trigger record_enrolment after insert or update on punctual.enrolments
  for each row execute function simulation.record_enrolment();

-- subject: the account's id, 'pace/<queue>/<id>' for its overrides in a queue, 'provider/<name>', or 'queue/<name>'.
create table simulation.settings (
  place bigint primary key default nextval('simulation.places'),
  at timestamptz not null,
  subject text not null,
  settings jsonb not null
);
create function simulation.record_settings() returns trigger language plpgsql as $$
declare
  v_new jsonb;
begin
  select jsonb_object_agg(k, to_jsonb(new)->k) into v_new from unnest(string_to_array(tg_argv[1], ',')) k;
  if tg_op = 'UPDATE' and v_new = (select jsonb_object_agg(k, to_jsonb(old)->k) from unnest(string_to_array(tg_argv[1], ',')) k) then
    return null;
  end if;
  insert into simulation.settings (at, subject, settings)
  values (current_setting('simulation.now')::timestamptz,
          case tg_argv[0] when 'account' then to_jsonb(new)->>'id'
            when 'pace' then format('pace/%s/%s', to_jsonb(new)->>'queue', to_jsonb(new)->>'account_id')
            else format('%s/%s', tg_argv[0], to_jsonb(new)->>'name') end, v_new);
  return null;
end
$$;
create trigger record_account after insert or update on punctual.accounts for each row execute function simulation.record_settings(
  'account', 'time_zone,daily_limit,hourly_limit,gap_seconds,gap_jitter_seconds,hours,ramp_started_on,ramp_days,ramp_from_percent,paused_until');
create trigger record_pace after insert or update on punctual.pace for each row execute function simulation.record_settings(
  'pace', 'daily_limit,hourly_limit,gap_seconds,gap_jitter_seconds,hours');
create trigger record_queue after update on punctual.queues for each row execute function simulation.record_settings('queue', 'paused_at');
create trigger record_provider after insert or update on punctual.providers
  for each row execute function simulation.record_settings('provider', 'paused_until');
`;

/** One recorded change of a row. */
export interface Transition {
  place: number;
  /** The number of the database call that made the change. A call is one transaction. */
  call: number;
  /** Milliseconds since the epoch, as for all instants here. */
  at: number;
  queue: string;
  rowId: string;
  /** Empty if the queue has no accounts. */
  accountId: string;
  /** A job's partition; empty for other queues. */
  part: string;
  from: string | null;
  /** The name of the state, or `gone`. */
  to: string;
  claimId: string | null;
  attempts: number;
  priority: number;
  dueAt: number | null;
  expiresAt: number | null;
  openUntil: number | null;
  leaseExpiresAt: number | null;
  finishedAt: number | null;
  lastError: string | null;
  /** The kind of the change by plain SQL; null if Punctual made the change. */
  byHand: string | null;
}

/** One recorded write of an enrolment. */
export interface EnrolmentChange {
  place: number;
  call: number;
  at: number;
  enrolmentId: string;
  from: string | null;
  to: string;
  claimId: string | null;
  phase: string;
  step: number;
  action: 'send' | 'remind' | 'advance' | 'stop';
  nextStepAt: number | null;
  messageId: string | null;
  paused: boolean;
}

export interface SettingsChange {
  place: number;
  at: number;
  subject: string;
  // biome-ignore lint/suspicious/noExplicitAny: columns of any type
  settings: Record<string, any>;
}

/** SQL for an instant in milliseconds: `infinity` is null, `-infinity` is in the year 1. */
export const instant = (column: string) =>
  `round(extract(epoch from case ${column} when 'infinity' then null when '-infinity' then '0001-01-01Z' else ${column} end) * 1000)`;

export const readTransitions = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'place', place, 'call', call, 'at', ${instant('at')}, 'queue', queue, 'rowId', row_id, 'accountId', coalesce(account_id::text, ''),
    'part', coalesce(part, ''), 'from', from_status, 'to', to_status, 'claimId', claim_id, 'attempts', attempts, 'priority', priority,
    'dueAt', ${instant('due_at')}, 'expiresAt', ${instant('expires_at')}, 'openUntil', ${instant('open_until')},
    'leaseExpiresAt', ${instant('lease_expires_at')}, 'finishedAt', ${instant('finished_at')}, 'lastError', last_error) order by place), '[]') as answer
  from simulation.transitions where queue = $1`;

export const readEnrolmentChanges = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'place', place, 'call', call, 'at', ${instant('at')}, 'enrolmentId', enrolment_id, 'from', from_status, 'to', to_status, 'claimId', claim_id,
    'phase', phase, 'step', step, 'action', action, 'nextStepAt', ${instant('next_step_at')}, 'messageId', message_id, 'paused', paused)
    order by place), '[]') as answer
  from simulation.enrolment_changes`;

export const readSettingsChanges = `
  select coalesce(jsonb_agg(jsonb_build_object('place', place, 'at', ${instant('at')}, 'subject', subject, 'settings', settings)
    order by place), '[]') as answer
  from simulation.settings`;
