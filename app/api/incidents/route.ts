import { apiRoute } from '@/lib/server/api-route';
import { listIncidents } from '@/lib/server/list-monitors';
import { refused } from '@/lib/server/refused';
import { json } from '@/lib/server/respond';

export const dynamic = 'force-dynamic';
export const maxDuration = 15;

/** `{ incidents, next }`, the newest first: see `listIncidents`. 400 with `{ errors: [{ field, message }] }`. */
export const GET = apiRoute(async ({ container: { rpc }, url }) => {
  const listed = await listIncidents(rpc, url.searchParams);
  return 'incidents' in listed
    ? json(200, listed)
    : refused(listed, 400, 'ask as in ?open=true&monitor=42&limit=50');
});
