// Makes one call of a scheduler, for platforms that start a program by a schedule. Needs Node 20 or newer, and no packages.
// Set PUNCTUAL_URL and CRON_SECRET. Optional: PUNCTUAL_PATH (default: /api/cron/process-scheduled), PUNCTUAL_SCHEDULER (default: http), and
// PUNCTUAL_SCHEDULE, a cron expression in UTC. Set PUNCTUAL_SCHEDULE only if the program starts within the minute of its slot, because the call
// then names that minute as its slot. Exit codes: 0 it ticked, 1 it did not.
const { PUNCTUAL_URL, CRON_SECRET, PUNCTUAL_PATH, PUNCTUAL_SCHEDULER, PUNCTUAL_SCHEDULE } = process.env;
if (!PUNCTUAL_URL || !CRON_SECRET) {
  console.error('set PUNCTUAL_URL, such as https://your.app, and CRON_SECRET');
  process.exit(1);
}
const headers = {
  authorization: `Bearer ${CRON_SECRET}`,
  'x-punctual-scheduler': PUNCTUAL_SCHEDULER || 'http',
};
if (PUNCTUAL_SCHEDULE) {
  headers['x-punctual-schedule'] = PUNCTUAL_SCHEDULE;
  headers['x-punctual-slot'] = new Date(Math.floor(Date.now() / 60_000) * 60_000).toISOString();
}
try {
  const url = new URL(PUNCTUAL_PATH || '/api/cron/process-scheduled', PUNCTUAL_URL);
  // The route's limit of 60 s and a margin.
  const signal = AbortSignal.timeout(75_000);
  // A redirect is a failure and is not followed. The output shows its address.
  const response = await fetch(url, { method: 'POST', headers, redirect: 'manual', signal });
  console.log(response.status, response.headers.get('location') ?? (await response.text()));
  process.exit(response.ok ? 0 : 1);
} catch (error) {
  console.error(error.cause?.code ?? error.message);
  process.exit(1);
}
