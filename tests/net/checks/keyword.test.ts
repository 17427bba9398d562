import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type HttpCheck, httpCheck } from '../../../lib/net/checks/http-check.ts';
import { addressGuard } from '../../../lib/net/public-address.ts';
import { down, never, plainCheck, respond, siteServers, up } from './site-servers.ts';

const { serve } = siteServers();
const check = (host: string, changes: Partial<HttpCheck> = {}) =>
  httpCheck(
    { url: `http://${host}/`, ...plainCheck, ...changes },
    { guard: addressGuard(['127.0.0.0/8']) },
    never,
  );

describe('a keyword', () => {
  const text = 'All systems größer als je zuvor';
  const latin = Buffer.from(text, 'latin1');
  const inCoding = (coding: string) => ({ 'content-encoding': coding });
  const ofType = (type: string) => ({ 'content-type': type });
  const meta = (tag: string) => Buffer.from(`${tag}${text}`, 'latin1');
  const equiv = '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">';
  it.each<[label: string, headers: Record<string, string>, body: Buffer]>([
    ['in plain text', {}, Buffer.from(text)],
    ['in gzip', inCoding('gzip'), gzipSync(text)],
    ['in deflate', inCoding('deflate'), deflateSync(text)],
    ['in deflate without its header', inCoding('deflate'), deflateRawSync(text)],
    ['in brotli', inCoding('br'), brotliCompressSync(text)],
    ['in a body that is compressed twice', inCoding('br, gzip'), gzipSync(brotliCompressSync(text))],
    ['in Latin-1', ofType('text/html; charset=ISO-8859-1'), latin],
    ['in a quoted charset', ofType("text/html; charset='iso-8859-1'"), latin],
    ['in the charset of a meta tag', ofType('text/html'), meta('<html><head><meta charset="iso-8859-1">')],
    ['in the charset of an older meta tag', ofType('text/html'), meta(equiv)],
    ['in an unknown charset', ofType('text/html; charset=nonsense'), Buffer.from(text)],
  ])('is found %s', async (_label, headers, body) => {
    const { host } = await serve(respond(200, headers, body));
    expect(await check(host, { keywordPresent: 'größer' })).toMatchObject(up);
    const missing = { ...down('"kleiner" is not in its response'), statusCode: 200 };
    expect(await check(host, { keywordPresent: 'kleiner' })).toMatchObject(missing);
    expect(await check(host, { keywordAbsent: 'größer' })).toMatchObject(down('"größer" is in its response'));
    expect(await check(host, { keywordAbsent: 'kleiner' })).toMatchObject(up);
  });

  it('is searched for in the first 1 MB, and no more is read', async () => {
    const { host } = await serve((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 'x')));
      };
      response.write('first');
      response.on('drain', more);
      more();
    });
    expect(await check(host, { keywordPresent: 'first' })).toMatchObject(up);
    const missing = down('"last" is not in the first 1 MB of its response');
    expect(await check(host, { keywordPresent: 'last' })).toMatchObject(missing);
  });

  const bombBytes = 96 * 1024 * 1024;
  it.each<[coding: string, compress: (bytes: Buffer) => Buffer]>([
    ['gzip', gzipSync],
    // The best compression would take a minute.
    ['br', (bytes) => brotliCompressSync(bytes, { params: { 1: 1 } })],
  ])('in a %s bomb does not cost the memory of the uncompressed body', async (coding, compress) => {
    const { host } = await serve(respond(200, inCoding(coding), compress(Buffer.alloc(bombBytes))));
    const before = process.memoryUsage().rss;
    const checks = Array.from({ length: 8 }, () => check(host, { keywordPresent: 'x', timeoutMs: 5_000 }));
    for (const result of await Promise.all(checks))
      expect(result).toMatchObject({ verdict: 'down', statusCode: 200 });
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it.each([
    ['in a way other than declared', 'gzip', /cannot be decompressed \(gzip\)/],
    ['in an unknown way', 'zstd', /unsupported compression \(zstd\)/],
    ['three times', 'gzip, gzip, gzip', /compressed more than twice/],
  ])('in a body compressed %s is not found', async (_label, coding, error) => {
    const { host } = await serve(respond(200, inCoding(coding), 'x'.repeat(40)));
    expect(await check(host, { keywordPresent: 'x' })).toMatchObject(down(error));
    expect(await check(host)).toMatchObject(up);
  });

  it('is absent from a response without a body', async () => {
    const { host } = await serve(respond(204, inCoding('gzip')));
    expect(await check(host, { keywordPresent: 'x' })).toMatchObject({ verdict: 'down' });
    expect(await check(host, { keywordAbsent: 'x' })).toMatchObject(up);
  });
});
