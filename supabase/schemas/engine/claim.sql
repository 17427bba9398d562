-- Claims up to p_want claimable rows of a partition, best priority first, then oldest. Skips locked rows. Scans one priority level after the other,
-- so that rows of a better priority that are not yet due cost nothing. Selects through an array: the planner assumes that an unknown limit returns
-- a tenth of the table, and would join all of it.
insert into punctual.templates (verb, kinds, text) values ('claim', '{plain}', $template$
create function {function}(p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz) returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}
       where u.id = any (array(
               select d.id from {levels} cross join lateral (
                 select t.id from {table} t where {at_level} {in_partition} and {claimable}
                  order by {due_at}, t.id limit p_want for no key update skip locked) d
                limit p_want))
      returning u.*)
  select coalesce(array_agg({claimed} order by t.priority, {due_at}, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$),
-- Claims the row p_id. Claims none if it is locked or not claimable.
('claim_one', '{plain}', $template$
create function {function}(p_id text, p_partition text, p_claim_id uuid, p_lease_until timestamptz, p_now timestamptz) returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}
       where u.id = (select t.id from (select x.* from {table} x where x.id = p_id::{id_type} limit 1 for no key update skip locked) t
                      where {claimable} {in_partition})
      returning u.*)
  select coalesce(array_agg({claimed}), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$),
-- Claims up to p_want rows that were dead before p_before, the longest dead first: a person redrives them. Each gets one more attempt. A row that is
-- released becomes pending in its own partition. Skips locked rows.
('claim_dead', '{plain}', $template$
create function {function}(p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_before timestamptz, p_now timestamptz)
returns json[]
language plpgsql {keeps_plan} as $$
declare
  v_rows json[];
begin
  with taken as (
      update {table} u set {take}, next_attempt_at = null, finished_at = null, max_attempts = u.attempts + 1
       where u.id = any (array(
               select t.id from {table} t
                where t.{status} = {dead} and (t.finished_at < p_before or t.finished_at is null) and {wanted} {in_partition}
                order by t.finished_at, t.id limit p_want for no key update skip locked))
      returning u.*)
  select coalesce(array_agg({claimed} order by {due_at}, t.id), '{}') into v_rows from taken t;
  return v_rows;
end
$$
$template$);

-- Claims due rows of a partition. p_only: the id of the only row that may be claimed; null for any.
create function punctual.claim_rows(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_now timestamptz, p_only text default null)
returns json[]
language plpgsql set search_path = '' as $$
declare
  v_rows json[];
begin
  if p_only is null then
    execute format('select punctual.%I($1, $2, $3, $4, $5)', q.name || '.claim') into v_rows using p_partition, p_claim_id, p_want, p_lease_until, p_now;
  else
    execute format('select punctual.%I($1, $2, $3, $4, $5)', q.name || '.claim_one') into v_rows using p_only, p_partition, p_claim_id, p_lease_until, p_now;
  end if;
  return v_rows;
end
$$;

-- Claims rows that were dead before p_before.
create function punctual.claim_dead_rows(
  q punctual.queues, p_partition text, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_before timestamptz, p_now timestamptz)
returns json[]
language plpgsql set search_path = '' as $$
declare
  v_rows json[];
begin
  execute format('select punctual.%I($1, $2, $3, $4, $5, $6)', q.name || '.claim_dead')
  into v_rows using p_partition, p_claim_id, p_want, p_lease_until, p_before, p_now;
  return v_rows;
end
$$;

-- Claims rows of a partition with max_running: dead rows if p_dead_before is set, else due rows. The caller has locked the partition: see
-- partition_opening. In a blocking partition (max_running = 1) the claimed row becomes head_id.
create function punctual.claim_limited_rows(
  q punctual.queues, p_partition punctual.partitions, p_claim_id uuid, p_want integer, p_lease_until timestamptz, p_dead_before timestamptz,
  p_now timestamptz) returns json[]
language plpgsql set search_path = '' as $$
declare
  v_opening record;
  v_rows json[] := '{}';
  v_want integer;
begin
  select * into v_opening from punctual.partition_opening(q, p_partition, p_now);
  v_want := least(p_want, v_opening.most);
  if v_want <= 0 then return v_rows; end if;
  if p_dead_before is null then
    v_rows := punctual.claim_rows(q, p_partition.partition, p_claim_id, v_want, p_lease_until, p_now, v_opening.head_id);
  elsif v_opening.head_id is null then
    v_rows := punctual.claim_dead_rows(q, p_partition.partition, p_claim_id, v_want, p_lease_until, p_dead_before, p_now);
  end if;
  if p_partition.max_running = 1 and cardinality(v_rows) > 0 then
    update punctual.partitions p set head_id = v_rows[1]->>'id' where p.queue = q.name and p.partition = p_partition.partition;
  end if;
  return v_rows;
end
$$;
