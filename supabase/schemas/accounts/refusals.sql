-- How long the pause is after so many refused calls in a row: 5 minutes, then twice as long each time, 4 hours at most. So the first hour
-- has no more than five, one after the other or side by side, but for what was under way when the first was refused.
create function punctual.refusal_wait(p_count integer) returns interval
language sql immutable set search_path = '' as $$
  select least(interval '4 hours', interval '5 minutes' * power(2, least(p_count, 10) - 1)) where p_count > 0
$$;

-- The refusals in a row, one more counted: {what, code, count, said}. p_what: account or provider, where any row would have been refused;
-- row, where it was this one's, and only the same p_code again goes on with the row of them.
create function punctual.count_refusal(p_before jsonb, p_what text, p_code text, p_said text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('what', p_what, 'code', c.code, 'count', c.count,
           'said', case when p_what = 'row' then format('%s rows in a row were refused: %s', c.count, left(p_said, 500)) else left(p_said, 500) end)
    from (select n.code, case when p_before->>'what' = p_what and p_before->>'code' is not distinct from n.code
                              then (p_before->>'count')::integer else 0 end + 1 as count
            from (select case when p_what = 'row' then left(p_code, 200) end as code) n) c
$$;

-- What else accounts.refused has, beside what count_refusal() answers: {queue, at, cause, held}. queue: which met it last; at: when; cause: the
-- provider's code or event; held: {until, reason} of the pause that the account was under when the first of them came.
create function punctual.place_refusal(p_account punctual.accounts, p_queue text, p_cause text, p_now timestamptz) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_strip_nulls(jsonb_build_object('queue', p_queue, 'at', p_now, 'cause', left(p_cause, 200), 'held',
    case when p_account.refused is not null then p_account.refused->'held'
         when p_account.paused_until > p_now then jsonb_build_object('until', p_account.paused_until, 'reason', p_account.paused_reason) end))
$$;

-- How long the account waits for what count_refusal() answered; null where it goes on. Five rows in a row that are refused alike are the
-- account's fault, whatever is said.
create function punctual.refusal_pause(p_refused jsonb) returns interval
language sql immutable set search_path = '' as $$
  select punctual.refusal_wait((p_refused->>'count')::integer) where p_refused->>'what' <> 'row' or (p_refused->>'count')::integer >= 5
$$;
