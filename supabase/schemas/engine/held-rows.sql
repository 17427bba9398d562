-- Pending rows to withdraw that another session had locked. No claim takes them until their queue's before_claim has judged them.
create table punctual.held_rows (
  queue text not null references punctual.queues on delete cascade,
  row_id text not null,
  primary key (queue, row_id)
);
