/**
 * Writes down, in a schema of its own, what becomes of every row and of every setting: one row a change, numbered in the order of the
 * changes. Only a simulation has it. The invariants read it, and nothing that Punctual says of itself.
 */
export const recorder = `
create schema simulation;
create sequence simulation.places;

create table simulation.transitions (
  place bigint primary key default nextval('simulation.places'),
  call integer not null default current_setting('simulation.call')::integer,
  at timestamptz not null,
  row_id text not null,
  account_id uuid not null,
  from_status text,
  to_status text not null,
  claim_id uuid,
  attempts integer not null,
  priority integer not null,
  due_at timestamptz,
  expires_at timestamptz,
  open_until timestamptz,
  lease_expires_at timestamptz,
  last_error text
);
create function simulation.record_transition() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and old.status = new.status and old.priority = new.priority and old.claim_id is not distinct from new.claim_id
     and coalesce(old.next_attempt_at, old.send_at) is not distinct from coalesce(new.next_attempt_at, new.send_at)
     and old.open_until is not distinct from new.open_until then
    return null;
  end if;
  insert into simulation.transitions (at, row_id, account_id, from_status, to_status, claim_id, attempts, priority, due_at, expires_at,
    open_until, lease_expires_at, last_error)
  values (current_setting('simulation.now')::timestamptz, new.id::text, new.account_id, case when tg_op = 'UPDATE' then old.status end,
    new.status, new.claim_id, new.attempts, new.priority, coalesce(new.next_attempt_at, new.send_at), new.expires_at,
    new.open_until, new.lease_expires_at, new.last_error);
  return null;
end
$$;
create trigger record_transition after insert or update on punctual.dm_queue
  for each row execute function simulation.record_transition();

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

-- subject: the account's id, 'pace/<id>' for what overrides it in the queue, 'provider/<name>', or 'queue'.
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
          case tg_argv[0] when 'queue' then 'queue' when 'provider' then 'provider/' || (to_jsonb(new)->>'name') when 'pace' then 'pace/' || (to_jsonb(new)->>'account_id') else to_jsonb(new)->>'id' end, v_new);
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

/** One change of a row, as the recorder saw it. */
export interface Transition {
  place: number;
  /** Which call of the database made it: one transaction. */
  call: number;
  /** Milliseconds since the epoch, as all instants here. */
  at: number;
  rowId: string;
  accountId: string;
  from: string | null;
  to: string;
  claimId: string | null;
  attempts: number;
  priority: number;
  dueAt: number | null;
  expiresAt: number | null;
  openUntil: number | null;
  leaseExpiresAt: number | null;
  lastError: string | null;
}

/** One writing of an enrolment. */
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
  action: 'send' | 'remind' | 'go_on' | 'stop';
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

/** What never comes is null. */
export const instant = (column: string) => `round(extract(epoch from nullif(${column}, 'infinity')) * 1000)`;

export const readTransitions = `
  select coalesce(jsonb_agg(jsonb_build_object(
    'place', place, 'call', call, 'at', ${instant('at')}, 'rowId', row_id, 'accountId', account_id, 'from', from_status, 'to', to_status,
    'claimId', claim_id, 'attempts', attempts, 'priority', priority, 'dueAt', ${instant('due_at')}, 'expiresAt', ${instant('expires_at')},
    'openUntil', ${instant('open_until')}, 'leaseExpiresAt', ${instant('lease_expires_at')}, 'lastError', last_error) order by place), '[]') as answer
  from simulation.transitions`;

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
