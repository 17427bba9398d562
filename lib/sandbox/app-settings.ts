import { SANDBOX_API_KEY } from './shapes/unipile-shape.ts';
import { SANDBOX_ACCESS_TOKEN } from './shapes/whatsapp-shape.ts';

/** Returns the environment variables that make an app use the sandbox at `url`, one a line. */
export function appSettings(url: string): string {
  const { host } = new URL(url);
  return `UNIPILE_DSN=${url}
UNIPILE_API_KEY=${SANDBOX_API_KEY}
UNIPILE_MAX_LATE_SECONDS=20
WHATSAPP_BASE_URL=${url}
WHATSAPP_ACCESS_TOKEN=${SANDBOX_ACCESS_TOKEN}
MEDIA_ALLOW_PRIVATE=${host}
MONITOR_ALLOW_PRIVATE=${host}`;
}
