-- Its after_settle and before_claim belong to sequences: see enrolments/reopen-messages.sql.
select punctual.add_queue('dm_queue', 'punctual.dm_queue', 'send_at', 'at-most-once',
  p_words => '{"running": "sending", "done": "sent", "dead": "failed"}',
  p_account_column => 'account_id',
  p_result_columns => '{provider_message_id, chat_id}',
  p_proof_column => 'provider_message_id',
  p_pair_column => 'addressee',
  p_evidence => 'punctual.find_dm_evidence',
  p_facts => 'punctual.read_dm_facts',
  p_closes_column => 'open_until');

-- When the message was sent; null if it was not. A generated column, so that it always agrees with the state.
alter table punctual.dm_queue add column sent_at timestamptz generated always as (case when status = 'sent' then finished_at end) stored;
create index dm_queue_sent on punctual.dm_queue (account_id, sent_at) where sent_at is not null;
