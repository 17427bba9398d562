-- On Supabase, enable Cron and pg_net under Integrations. Vault is there already. Run this as the owner, in the SQL editor. The token is CRON_SECRET.
select punctual.punctual_install_schedules('https://your.app', '<CRON_SECRET>');

-- Run one of them more often than once a minute (pg_cron 1.5 or later):
select punctual.create_queue_worker('jobs', 'https://your.app/api/cron/jobs', null, '10 seconds');

-- Add a region of monitors with a route of its own:
select punctual.create_queue_worker('monitors-fra1', 'https://your.app/api/cron/monitors/fra1', '<CRON_SECRET>', '* * * * *');

-- List all, with the last run and the app's response. The status 401 means that the token is not the app's CRON_SECRET.
select jsonb_pretty(punctual.list_queue_workers());

-- Remove one, or all:
select punctual.drop_queue_worker('monitors-fra1');
select punctual.punctual_remove_schedules();
