import { unstable_doesMiddlewareMatch } from 'next/experimental/testing/server';
import { NextRequest } from 'next/server';
import { describe, expect, it } from 'vitest';
import { config, proxy } from '../../proxy.ts';

// The file is not TypeScript.
const { default: configure } = await import(new URL('../../next.config.mjs', import.meta.url).href);

const callProxy = (path: string) => proxy(new NextRequest(`https://app.test${path}`));
const isCalled = (path: string) => unstable_doesMiddlewareMatch({ config, url: `https://app.test${path}` });

describe('a request', () => {
  it.each(['/%', '/login%e0%a4', '/api/dms/%ff/why', '/_next/static/%ff', '/icon.svg%ff'])(
    'for %s, which cannot be decoded, answers 400',
    async (path) => {
      expect(isCalled(path)).toBe(true);
      const response = callProxy(path);
      expect(response.status).toBe(400);
      expect((await response.json()).error).toMatchObject({ kind: 'invalid_path' });
    },
  );

  it.each(['/%c3%bc', '/login?a=%ff', '/api/queues/%c3%bc/rows', '/api/dms/%252e/why'])(
    'for %s, which can be decoded, passes',
    (path) => {
      expect(callProxy(path).status).toBe(200);
    },
  );
});

describe('the Content-Security-Policy of a page', () => {
  const policyOf = (path: string) => callProxy(path).headers.get('content-security-policy') ?? '';
  it.each(['/', '/login', '/nope'])('of %s has a new nonce in each response', (path) => {
    expect(isCalled(path)).toBe(true);
    const nonces = Array.from({ length: 20 }, () => /'nonce-([\w+/]{22}==)'/.exec(policyOf(path))?.[1]);
    expect(new Set(nonces).size).toBe(20);
    expect(nonces).not.toContain(undefined);
  });

  it('reaches Next, which adds the nonce to its scripts', () => {
    const { headers } = callProxy('/');
    expect(headers.get('x-middleware-request-content-security-policy')).toBe(
      headers.get('content-security-policy'),
    );
  });

  it('runs only scripts with the nonce, and lets no other site frame or feed the page', () => {
    const policy = policyOf('/').replaceAll(/'nonce-[^']+'/g, "'nonce'");
    for (const directive of [
      "script-src 'nonce' 'strict-dynamic'",
      "style-src 'self' 'nonce'",
      "default-src 'none'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'self'",
      "connect-src 'self'",
    ])
      expect(policy.split('; ')).toContain(directive);
  });
});

it.each([
  ...['/icon.svgx', '/iconxsvg', '/_next/imagexyz'].map((path) => [path, true] as const),
  ...['/api/health', '/api/cron/dm-queue', '/_next/static/chunks/a.js', '/icon.svg'].map(
    (path) => [path, false] as const,
  ),
])('the proxy runs for %s: %s', (path, isPage) => {
  expect(isCalled(path)).toBe(isPage);
});

describe('the headers of every response', () => {
  it('keep browsers on https, on the stated content type and out of frames, and let API responses load nothing', async () => {
    const rules: { source: string; headers: { key: string; value: string }[] }[] =
      await configure('phase-production-server').headers();
    const headers = (source: string) =>
      rules.find((rule) => rule.source === source)?.headers.map(({ key, value }) => `${key}: ${value}`);
    expect(headers('/:path*')).toEqual([
      'X-Content-Type-Options: nosniff',
      'X-Frame-Options: DENY',
      'Referrer-Policy: same-origin',
      'Permissions-Policy: camera=(), microphone=(), geolocation=()',
      'Strict-Transport-Security: max-age=31536000',
    ]);
    expect(headers('/api/:path*')).toEqual([
      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    ]);
  });
});
