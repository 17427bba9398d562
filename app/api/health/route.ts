import { json } from '@/lib/http/respond.ts';
import { readHealth } from '@/lib/stats/health.ts';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

export async function GET(): Promise<Response> {
  const health = await readHealth();
  return json(health.status === 'ok' ? 200 : 503, health);
}
