/**
 * Returns the address that a request came from, or `unknown`. On Vercel the platform writes it and overrides the caller's headers. Elsewhere it is
 * the last entry of `X-Forwarded-For`, which the nearest proxy writes, or Next if there is no proxy. Without a proxy a caller can forge it, so use
 * it only to slow down sign-ins.
 */
export function clientAddress({ headers }: Pick<Request, 'headers'>, onVercel: boolean): string {
  const platform = onVercel ? headers.get('x-vercel-forwarded-for') : null;
  const chain = platform ?? headers.get('x-forwarded-for') ?? '';
  return chain.split(',').at(-1)?.trim() || 'unknown';
}
