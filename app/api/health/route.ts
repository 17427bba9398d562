import { json } from '@/lib/http/respond';
import { readHealth } from '@/lib/stats/health';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export async function GET(): Promise<Response> {
  const health = await readHealth();
  return json(health.status === 'ok' ? 200 : 503, health);
}
