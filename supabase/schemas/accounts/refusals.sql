-- Returns the pause after p_count refused calls in a row: 5 minutes, then twice as long each time, 4 hours at most. So the first hour has at most
-- five such calls, besides those that were under way at the first refusal.
create function punctual.refusal_wait(p_count integer) returns interval
language sql immutable set search_path = '' as $$
  select least(interval '4 hours', interval '5 minutes' * power(2, least(p_count, 10) - 1)) where p_count > 0
$$;

-- Counts one more refusal in a row: returns {what, code, count, said}. p_before: the refusals so far. p_what: `account` or `provider` if every row
-- would have been refused, `row` if only this one was. For `row` a different p_code starts a new count. p_said: the provider's text.
create function punctual.count_refusal(p_before jsonb, p_what text, p_code text, p_said text) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('what', p_what, 'code', c.code, 'count', c.count,
           'said', case when p_what = 'row' then format('%s rows in a row were refused: %s', c.count, left(p_said, 500)) else left(p_said, 500) end)
    from (select n.code, case when p_before->>'what' = p_what and p_before->>'code' is not distinct from n.code
                              then (p_before->>'count')::integer else 0 end + 1 as count
            from (select case when p_what = 'row' then left(p_code, 200) end as code) n) c
$$;

-- Returns the other fields of accounts.refused, besides those of count_refusal(): {queue, at, cause, held}. queue, at: where and when the latest
-- refusal came. cause: the provider's code or event. held: {until, reason} of the pause in force at the first of these refusals.
create function punctual.place_refusal(p_account punctual.accounts, p_queue text, p_cause text, p_now timestamptz) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_strip_nulls(jsonb_build_object('queue', p_queue, 'at', p_now, 'cause', left(p_cause, 200), 'held',
    case when p_account.refused is not null then p_account.refused->'held'
         when p_account.paused_until > p_now then jsonb_build_object('until', p_account.paused_until, 'reason', p_account.paused_reason) end))
$$;

-- Returns how long an account pauses for the refusals of count_refusal(); null if it does not pause. Five rows in a row refused with the same code
-- count against the account.
create function punctual.refusal_pause(p_refused jsonb) returns interval
language sql immutable set search_path = '' as $$
  select punctual.refusal_wait((p_refused->>'count')::integer) where p_refused->>'what' <> 'row' or (p_refused->>'count')::integer >= 5
$$;
