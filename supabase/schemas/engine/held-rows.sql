-- Rows that somebody wanted to take back while another had them in hand: no claim takes them before their queue's before_claim has judged them.
create table punctual.held_rows (
  queue text not null references punctual.queues on delete cascade,
  row_id text not null,
  primary key (queue, row_id)
);
