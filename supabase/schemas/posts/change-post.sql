-- Returns a post as the API shows it.
create function punctual.describe_post(p_post punctual.posts) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('id', p_post.id::text, 'account_id', p_post.account_id, 'status', p_post.status, 'body', p_post.body,
    'media_urls', p_post.media_urls, 'scheduled_for', p_post.scheduled_for, 'published_at', p_post.published_at,
    'provider_post_id', p_post.provider_post_id, 'permalink', p_post.permalink, 'priority', p_post.priority, 'expires_at', p_post.expires_at,
    'attempts', p_post.attempts, 'last_error', p_post.last_error, 'created_at', p_post.created_at, 'finished_at', p_post.finished_at)
$$;

-- Returns the id as a number. Raises PT404 if it is malformed.
create function punctual.post_id(p_id text) returns bigint
language plpgsql immutable set search_path = '' as $$
begin
  if p_id ~ '^[0-9]{1,18}$' then return p_id::bigint; end if;
  raise exception 'there is no post %', left(p_id, 100) using errcode = 'PT404';
end
$$;

-- Returns a post. Raises PT404 if no post has the id.
create function punctual.read_post(p_id text) returns jsonb
language plpgsql stable set search_path = '' set statement_timeout = '4s' as $$
declare
  v_post punctual.posts;
begin
  select * into v_post from punctual.posts p where p.id = punctual.post_id(p_id);
  if not found then raise exception 'there is no post %', p_id using errcode = 'PT404'; end if;
  return punctual.describe_post(v_post);
end
$$;

-- Waits for the post's lock and takes it, so that no tick can claim the post before this transaction ends. Raises PT404 if there is no such post,
-- and PT409 if it is no longer scheduled.
create function punctual.lock_scheduled_post(p_id text) returns void
language plpgsql set search_path = '' as $$
declare
  v_status text;
begin
  select p.status into v_status from punctual.posts p where p.id = punctual.post_id(p_id) for no key update;
  if v_status is null then raise exception 'there is no post %', p_id using errcode = 'PT404'; end if;
  if v_status <> 'scheduled' then
    raise exception 'the post is %', v_status using errcode = 'PT409', detail = v_status;
  end if;
end
$$;

-- Returns the fields of a post that the audit records. Of the text and the media it records only that they changed.
create function punctual.post_for_audit(p_before punctual.posts, p_post punctual.posts) returns jsonb
language sql stable set search_path = '' as $$
  select jsonb_build_object('scheduled_for', p_post.scheduled_for, 'expires_at', p_post.expires_at, 'priority', p_post.priority,
    'body', case when p_post.body <> p_before.body then 'changed' end, 'media_urls', case when p_post.media_urls <> p_before.media_urls then 'changed' end)
$$;

-- Changes a post that is still scheduled. p_changes: some of {body, media_urls, scheduled_for, expires_at, priority}, already validated. An accepted
-- change is always published. Returns the post as read_post does. Raises PT404 and PT409 as lock_scheduled_post does.
create function punctual.update_post(p_id text, p_changes jsonb, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_before punctual.posts;
  v_post punctual.posts;
begin
  perform punctual.lock_scheduled_post(p_id);
  select * into v_before from punctual.posts p where p.id = p_id::bigint;
  update punctual.posts p set
    (body, media_urls, scheduled_for, expires_at, priority)
    = (select n.body, n.media_urls, n.scheduled_for, n.expires_at, n.priority from jsonb_populate_record(p, p_changes) n),
    next_attempt_at = case when p_changes ? 'scheduled_for' then null else p.next_attempt_at end
   where p.id = p_id::bigint
  returning p.* into v_post;
  -- If the account waits for this post, the posts behind it need not wait for the new time.
  if p_changes ? 'scheduled_for' then perform punctual.end_hold(punctual.read_queue('posts'), to_jsonb(v_post), v_now); end if;
  perform punctual.note_change(p_by, 'change_post', 'posts', p_id, punctual.post_for_audit(v_before, v_before), punctual.post_for_audit(v_before, v_post), null, v_now);
  return punctual.describe_post(v_post);
end
$$;

-- Cancels a post that is still scheduled. Returns {id, status}. Raises PT404 and PT409 as lock_scheduled_post does.
create function punctual.cancel_post(p_id text, p_by text default null, p_now timestamptz default null) returns jsonb
language plpgsql set search_path = '' set statement_timeout = '4s' as $$
begin
  perform punctual.lock_scheduled_post(p_id);
  return jsonb_build_object('id', p_id::bigint::text)
    || punctual.resolve_row('posts', p_id::bigint::text, 'cancelled', p_by, 'cancelled before it went out', null, p_now);
end
$$;
