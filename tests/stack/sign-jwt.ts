import { createHmac } from 'node:crypto';

/** Makes a key like Supabase's legacy API keys: a JWT for `role`, signed with HS256 and valid for a day. */
export function signJwt(secret: string, role: string): string {
  const now = Math.floor(Date.now() / 1000);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: 'supabase', role, iat: now, exp: now + 86_400 };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
