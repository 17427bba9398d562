import { type NextRequest, NextResponse } from 'next/server';
import { problem } from './lib/http/respond.ts';

/** Pages, and all paths with a `%`. */
export const config = {
  matcher: ['/((?!api/|_next/static/|_next/image$|icon\\.svg$).*)', '/(.*%.*)'],
};

/** Responds with 400 to a path that cannot be decoded, on which Next would fail. Gives each page its Content-Security-Policy. */
export function proxy(request: NextRequest): Response {
  const { pathname } = request.nextUrl;
  if (!isDecodable(pathname)) {
    return problem(
      400,
      'invalid_path',
      'the path has a % that is not part of a UTF-8 character: encode the path again',
    );
  }
  if (pathname.startsWith('/api/')) return NextResponse.next();
  const policy = pagePolicy(Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64'));
  const headers = new Headers(request.headers);
  // Next reads the nonce from this header and adds it to its scripts.
  headers.set('Content-Security-Policy', policy);
  const response = NextResponse.next({ request: { headers } });
  response.headers.set('Content-Security-Policy', policy);
  return response;
}

function isDecodable(pathname: string): boolean {
  try {
    decodeURIComponent(pathname);
    return true;
  } catch {
    return false;
  }
}

function pagePolicy(nonce: string): string {
  const isDevelopment = process.env.NODE_ENV === 'development';
  return [
    "default-src 'none'",
    // In development, React evaluates code to show where an error came from.
    `script-src 'nonce-${nonce}' 'strict-dynamic'${isDevelopment ? " 'unsafe-eval'" : ''}`,
    `style-src 'self' ${isDevelopment ? "'unsafe-inline'" : `'nonce-${nonce}'`}`,
    // Charts set the widths of their bars.
    "style-src-attr 'unsafe-inline'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
