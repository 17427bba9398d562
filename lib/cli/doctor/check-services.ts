import { systemClock } from '../../engine/ports/clock.ts';
import { upstashLock } from '../../locks/upstash-lock.ts';
import { ProviderError, request } from '../../net/http.ts';
import { unipileApi } from '../../providers/unipile/unipile-api.ts';
import type { ServerEnv } from '../../services/env.ts';
import { serverLog } from '../../services/log.ts';
import { type Finding, fail, pass } from './finding.ts';

const timeoutMs = 10_000;

/** Takes a lock for a second. */
export async function checkRedis({ upstash }: ServerEnv): Promise<Finding[]> {
  if (!upstash) return [pass('Redis: none, so the database alone keeps ticks apart')];
  const lock = upstashLock({ ...upstash, clock: systemClock, log: serverLog('fatal'), timeoutMs: 5_000 });
  const attempt = await lock.acquire('doctor', 1_000);
  if (attempt.state !== 'unavailable') return [pass('Redis: it answers')];
  return [
    fail(
      `Redis: ${attempt.reason}`,
      'Correct UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or unset both: ticks work without them.',
    ),
  ];
}

/** Makes one call at each configured provider that reads and sends nothing. */
export async function checkProviders(env: ServerEnv): Promise<Finding[]> {
  const { unipile, whatsappCloud: whatsapp } = env;
  const checks: Promise<Finding>[] = [];
  if (unipile) {
    const signal = AbortSignal.timeout(timeoutMs);
    const read = () => unipileApi(unipile).get({ path: '/accounts', pageSize: 1 }, signal);
    checks.push(checkProvider('Unipile', 'UNIPILE_DSN and UNIPILE_API_KEY', read));
  }
  if (whatsapp) {
    const read = () =>
      request({
        provider: 'whatsapp-cloud',
        method: 'GET',
        url: `${whatsapp.baseUrl.replace(/\/+$/, '')}/${whatsapp.apiVersion}/me`,
        headers: { authorization: `Bearer ${whatsapp.accessToken}` },
        timeoutMs,
      });
    checks.push(checkProvider('WhatsApp', 'WHATSAPP_ACCESS_TOKEN', read));
  }
  return Promise.all(checks);
}

async function checkProvider(
  name: string,
  variables: string,
  read: () => Promise<unknown>,
): Promise<Finding> {
  try {
    await read();
    return pass(`${name}: it accepts the credentials`);
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    const isRefused = error.status === 401 || error.status === 403;
    return fail(
      `${name}: ${error.message}`,
      isRefused ? `Correct ${variables}.` : `Look at ${variables}, or wait.`,
    );
  }
}
