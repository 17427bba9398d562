-- Supabase: Integrations → Cron and pg_net have to be enabled, Vault is there. As the owner, in the SQL editor; the token is CRON_SECRET.
select punctual.punctual_install_schedules('https://your.app', '<CRON_SECRET>');

-- One of them more often than once a minute, from pg_cron 1.5 on:
select punctual.create_queue_worker('jobs', 'https://your.app/api/cron/jobs', null, '10 seconds');

-- A region of monitors that has a route of its own:
select punctual.create_queue_worker('monitors-fra1', 'https://your.app/api/cron/monitors/fra1', '<CRON_SECRET>', '* * * * *');

-- What there is, how its last run went and what the app answered; a status of 401 is another CRON_SECRET than the app's.
select jsonb_pretty(punctual.list_queue_workers());

-- Without one of them, and without all:
select punctual.drop_queue_worker('monitors-fra1');
select punctual.punctual_remove_schedules();
