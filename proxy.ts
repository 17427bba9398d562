import { type NextRequest, NextResponse } from 'next/server';
import { problem } from './lib/http/respond';

/** Stands before pages, and before every path that bears a `%`. */
export const config = {
  matcher: ['/((?!api/|_next/static/|_next/image$|icon\\.svg$).*)', '/(.*%.*)'],
};

/** Refuses a path that cannot be decoded, which Next would fail over, and gives each page its Content-Security-Policy. */
export function proxy(request: NextRequest): Response {
  const { pathname } = request.nextUrl;
  if (!isDecodable(pathname)) {
    return problem(400, 'invalid_path', 'the path has a % that begins no character in UTF-8: encode it anew');
  }
  if (pathname.startsWith('/api/')) return NextResponse.next();
  const policy = pagePolicy(Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64'));
  const headers = new Headers(request.headers);
  // Next reads the nonce from it, and gives it to its scripts.
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
    // React evaluates code in development, to show where an error came from.
    `script-src 'nonce-${nonce}' 'strict-dynamic'${isDevelopment ? " 'unsafe-eval'" : ''}`,
    `style-src 'self' ${isDevelopment ? "'unsafe-inline'" : `'nonce-${nonce}'`}`,
    // The widths of bars.
    "style-src-attr 'unsafe-inline'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
