/** Returns a JSON response that caches do not keep and browsers do not take for another type. */
export function json(status: number, body: unknown, extraHeaders: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'Content-Type': 'application/json; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...extraHeaders,
    },
  });
}

/**
 * Returns an error response: `{ error: { kind, message, ...extra } }`. `kind` is for programs and does not change, `message` is for people.
 * `retryAfterSeconds` becomes the header `Retry-After`.
 */
export function problem(
  status: number,
  kind: string,
  message: string,
  { retryAfterSeconds, ...extra }: { retryAfterSeconds?: number; [field: string]: unknown } = {},
): Response {
  const headers: Record<string, string> = {};
  if (retryAfterSeconds !== undefined) headers['Retry-After'] = String(Math.ceil(retryAfterSeconds));
  // RFC 9110, 15.5.2: a 401 must name a scheme.
  if (status === 401) headers['WWW-Authenticate'] = 'Bearer';
  return json(status, { error: { kind, message, ...extra } }, headers);
}
