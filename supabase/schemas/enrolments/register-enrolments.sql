select punctual.add_queue('enrolments', 'punctual.enrolments', 'next_step_at', 'at-least-once',
  p_after_settle => 'punctual.settle_enrolments',
  p_facts => 'punctual.judge_enrolments',
  p_waits_column => 'waits_for',
  -- Rows are kept forever: they prevent a second enrolment in the same sequence, and its funnel counts them.
  p_settings => '{"batch_limit": null, "concurrency": 500, "timeout_seconds": 5, "retention_days": null}');

create trigger enrolments_deleted after delete on punctual.enrolments for each row
  when (old.message_id is not null) execute function punctual.withdraw_of_deleted_enrolment();

create unique index enrolments_live on punctual.enrolments (sequence_id, person) where status in ('pending', 'running', 'unknown');
create index enrolments_person on punctual.enrolments (sequence_id, person, id);
create index enrolments_phase on punctual.enrolments (sequence_id, phase, id);
create index enrolments_chat on punctual.enrolments (chat_id, account_id) where chat_id is not null;
create index enrolments_recipient on punctual.enrolments (recipient, account_id) where recipient is not null;
create index enrolments_number on punctual.enrolments (number, account_id) where number is not null;
create index enrolments_texts on punctual.enrolments (finished_at) where finished_at is not null and texts_gone_at is null;
create index enrolments_message on punctual.enrolments (message_id) where message_id is not null;
