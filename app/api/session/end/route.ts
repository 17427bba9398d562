import { requestOrigin } from '@/lib/http/auth/access.ts';
import { endSessionCookie } from '@/lib/http/auth/session.ts';
import { problem } from '@/lib/http/respond.ts';

/** Signs out by a form, which cannot send a DELETE. */
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
