// One call of a scheduler, for platforms that start a program by a schedule: Node 20 or newer, and nothing else.
// PUNCTUAL_URL and CRON_SECRET; PUNCTUAL_PATH (/api/cron/process-scheduled), PUNCTUAL_SCHEDULER (http), and PUNCTUAL_SCHEDULE, a cron expression in
// UTC, of a scheduler that starts within the minute it is meant for: then the slot is named too. Exit codes: 0 it ticked, 1 it did not.
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
  // The route's limit of 60 s, and some.
  const signal = AbortSignal.timeout(75_000);
  // A redirect is not followed, and is a failure: it says where the app is.
  const response = await fetch(url, { method: 'POST', headers, redirect: 'manual', signal });
  console.log(response.status, response.headers.get('location') ?? (await response.text()));
  process.exit(response.ok ? 0 : 1);
} catch (error) {
  console.error(error.cause?.code ?? error.message);
  process.exit(1);
}
