import { requestOrigin } from '@/lib/server/access';
import { problem } from '@/lib/server/respond';
import { endSessionCookie } from '@/lib/server/session';

/** Signs out by a form, which can send no DELETE. */
export function POST(request: Request): Response {
  if (requestOrigin(request) === 'other')
    return problem(403, 'cross_origin', 'Sign out from the dashboard’s own page.');
  const headers = {
    Location: '/login',
    'Cache-Control': 'no-store',
    'Set-Cookie': endSessionCookie(request),
  };
  return new Response(null, { status: 303, headers });
}
