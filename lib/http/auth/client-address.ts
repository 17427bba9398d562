/**
 * Returns the address a request came from, as far as it is known. On Vercel the platform writes it, whatever the caller sends. Elsewhere it
 * is the last entry of `X-Forwarded-For`: that of the nearest proxy, or Next's own where no proxy stands in front. Only there can a caller
 * make one up, so nothing may depend on it but how patient we are.
 */
export function clientAddress({ headers }: Pick<Request, 'headers'>, onVercel: boolean): string {
  const platform = onVercel ? headers.get('x-vercel-forwarded-for') : null;
  const chain = platform ?? headers.get('x-forwarded-for') ?? '';
  return chain.split(',').at(-1)?.trim() || 'unknown';
}
