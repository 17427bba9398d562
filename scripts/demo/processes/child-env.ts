/** Settings of a real project, and settings that would change the demo. */
const foreign = [
  'SUPABASE_URL',
  'SUPABASE_SECRET_KEY',
  'SUPABASE_SERVICE_ROLE_KEY',
  'DATABASE_URL',
  'UPSTASH_REDIS_REST_URL',
  'UPSTASH_REDIS_REST_TOKEN',
  'KV_REST_API_URL',
  'KV_REST_API_TOKEN',
  'VERCEL',
  'DASHBOARD_PASSWORD',
  'DASHBOARD_VIEWER_PASSWORD',
  'DASHBOARD_IDENTITY_HEADER',
  'CRON_SECRET',
  'CRON_SECRET_PREVIOUS',
  'API_KEY',
  'API_KEYS',
  'VIEWER_API_KEY',
  'WORKER_SECRET',
  'WORKER_URL',
  'WORKER_HEARTBEAT_URL',
  'PUNCTUAL_URL',
  'JOB_SIGNING_SECRET',
  'JOB_SIGNING_SECRET_PREVIOUS',
  'MEDIA_ALLOW_PRIVATE',
  'UNIPILE_DSN',
  'UNIPILE_API_KEY',
  'WHATSAPP_ACCESS_TOKEN',
  'WHATSAPP_API_VERSION',
  'WHATSAPP_BASE_URL',
  'MONITOR_ALLOW_PRIVATE',
  'MONITOR_CANARIES',
  'LOG_LEVEL',
];
const foreignPattern = /^(SUPABASE|UPSTASH|KV|VERCEL|UNIPILE|WHATSAPP|MONITOR)_/;

/**
 * Returns the environment of the demo's processes: the inherited one without the settings of a real project, and with `own`.
 *
 * Removed settings are empty strings, which the app reads as not set. If they were missing, Next would read them from `.env.local`.
 */
export function childEnv(
  inherited: Record<string, string | undefined>,
  own: Record<string, string>,
): Record<string, string | undefined> {
  const names = [...foreign, ...Object.keys(inherited).filter((name) => foreignPattern.test(name))];
  return {
    ...inherited,
    ...Object.fromEntries(names.map((name) => [name, ''])),
    NODE_ENV: 'production',
    NEXT_TELEMETRY_DISABLED: '1',
    ...own,
  };
}
