import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares two secrets in constant time. Both are hashed first, which also hides their lengths. */
export function secretsEqual(sent: string, expected: string): boolean {
  return timingSafeEqual(sha256(sent), sha256(expected));
}

/** Returns the token of `Authorization: Bearer <token>`, or null. The case of the scheme does not matter (RFC 6750). */
export function bearerToken(request: Pick<Request, 'headers'>): string | null {
  const match = /^Bearer +([^\s]+) *$/i.exec(request.headers.get('authorization') ?? '');
  return match?.[1] ?? null;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
