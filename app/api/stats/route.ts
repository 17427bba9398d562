import { apiAccess } from '@/lib/server/access';
import { accessEnv } from '@/lib/server/env';
import { failed } from '@/lib/server/failure';
import { json, problem } from '@/lib/server/respond';
import { readStats } from '@/lib/server/stats';

/** What the dashboard shows, as JSON; 503 with the reason while the database does not answer. */
export async function GET(request: Request): Promise<Response> {
  const access = apiAccess(request, accessEnv(), Date.now(), { dashboard: true });
  if (!access.allowed) return problem(access.status, access.kind, access.message);
  try {
    return json(200, await readStats());
  } catch (error) {
    return failed(error);
  }
}
