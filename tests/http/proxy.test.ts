import { unstable_doesMiddlewareMatch } from 'next/experimental/testing/server';
import { NextRequest } from 'next/server';
import { describe, expect, it } from 'vitest';
import { config, proxy } from '../../proxy.ts';

// It is no TypeScript.
const { default: configure } = await import(new URL('../../next.config.mjs', import.meta.url).href);

const ask = (path: string) => proxy(new NextRequest(`https://app.test${path}`));
const isCalled = (path: string) => unstable_doesMiddlewareMatch({ config, url: `https://app.test${path}` });

describe('a path that cannot be decoded', () => {
  it.each([
    '/%ff',
    '/%',
    '/login%e0%a4',
    '/api/%ff',
    '/api/dms/%ff/why',
    '/api/queues/a%2/rows',
    '/_next/static/%ff',
    '/icon.svg%ff',
  ])('%s is answered with 400', async (path) => {
    expect(isCalled(path)).toBe(true);
    const answer = ask(path);
    expect(answer.status).toBe(400);
    expect((await answer.json()).error).toMatchObject({ kind: 'invalid_path' });
  });

  it.each(['/%c3%bc', '/login?a=%ff', '/api/queues/%c3%bc/rows', '/api/dms/%252e/why'])(
    'is not %s',
    (path) => {
      expect(ask(path).status).toBe(200);
    },
  );
});

describe('the Content-Security-Policy of a page', () => {
  const policyOf = (path: string) => ask(path).headers.get('content-security-policy') ?? '';
  const directive = (name: string) =>
    policyOf('/')
      .split('; ')
      .find((one) => one.startsWith(`${name} `)) ?? '';

  it.each(['/', '/login', '/nope'])('of %s has a nonce that no other answer has', (path) => {
    expect(isCalled(path)).toBe(true);
    const nonces = Array.from({ length: 20 }, () => /'nonce-([\w+/]{22}==)'/.exec(policyOf(path))?.[1]);
    expect(new Set(nonces).size).toBe(20);
    expect(nonces).not.toContain(undefined);
  });

  it('is known to Next, which gives the nonce to its scripts', () => {
    const { headers } = ask('/');
    expect(headers.get('x-middleware-request-content-security-policy')).toBe(
      headers.get('content-security-policy'),
    );
  });

  it('lets no script run but those that have the nonce, and no other site frame or feed the page', () => {
    expect(directive('script-src')).toMatch(/^script-src 'nonce-[^']+' 'strict-dynamic'$/);
    expect(directive('style-src')).toMatch(/^style-src 'self' 'nonce-[^']+'$/);
    expect(directive('default-src')).toBe("default-src 'none'");
    expect(directive('frame-ancestors')).toBe("frame-ancestors 'none'");
    expect(directive('base-uri')).toBe("base-uri 'none'");
    expect(directive('form-action')).toBe("form-action 'self'");
    expect(directive('connect-src')).toBe("connect-src 'self'");
  });
});

it.each(['/icon.svgx', '/iconxsvg', '/_next/imagexyz'])('%s is a page like any other', (path) => {
  expect(isCalled(path)).toBe(true);
});

describe('what needs no page', () => {
  it.each(['/api/health', '/api/cron/dm-queue', '/_next/static/chunks/a.js', '/icon.svg'])(
    '%s is left alone',
    (path) => {
      expect(isCalled(path)).toBe(false);
    },
  );
});

describe('the headers of every answer', () => {
  it('keep browsers to https, to the type that is told, and out of frames; the API shows nothing', async () => {
    const rules: { source: string; headers: { key: string; value: string }[] }[] =
      await configure('phase-production-server').headers();
    const headers = (source: string) =>
      rules.find((rule) => rule.source === source)?.headers.map(({ key, value }) => `${key}: ${value}`);
    expect(headers('/:path*')).toEqual([
      'X-Content-Type-Options: nosniff',
      'X-Frame-Options: DENY',
      'Referrer-Policy: no-referrer',
      'Permissions-Policy: camera=(), microphone=(), geolocation=()',
      'Strict-Transport-Security: max-age=31536000',
    ]);
    expect(headers('/api/:path*')).toEqual([
      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
    ]);
  });
});
