-- Sequences: how users save them, enrol people in them and read the results. These functions turn jit off: compiling their statements took 800 ms,
-- running them 5 ms.

-- Returns the length of a text as JavaScript and the providers count it: a character beyond U+FFFF, like most emoji, counts twice.
create function punctual.count_units(p_text text) returns integer
language plpgsql immutable set search_path = '' as $$
begin
  -- The second term counts characters with four bytes in UTF-8.
  return length(p_text) + length(regexp_replace(p_text, '[\u0001-\uffff]', '', 'g'));
end
$$;

-- Returns the longest text that a channel accepts. lib/providers/body-limits.ts has the same limits.
create function punctual.body_limit(p_channel text) returns integer
language sql immutable set search_path = '' as $$
  select case p_channel when 'linkedin' then 8000 when 'whatsapp' then 4096 end
$$;
