import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares in constant time. Both sides are hashed first, so that not even the length can be measured. */
export function secretsEqual(given: string, expected: string): boolean {
  return timingSafeEqual(sha256(given), sha256(expected));
}

/** The token of `Authorization: Bearer <token>` (RFC 6750; the scheme in any case); null where there is none. */
export function bearerToken(request: Pick<Request, 'headers'>): string | null {
  const match = /^Bearer +([^\s]+) *$/i.exec(request.headers.get('authorization') ?? '');
  return match?.[1] ?? null;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
