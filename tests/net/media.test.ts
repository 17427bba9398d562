import { afterEach, describe, expect, it } from 'vitest';
import { fetchMedia, mediaLimits } from '../../lib/net/media.ts';
import { addressGuard } from '../../lib/net/public-address.ts';
import { sites } from '../support/sites.ts';

const { serve, closeAll } = sites();
afterEach(closeAll);

const png = { 'content-type': 'image/png' };
/** Serves a status, headers and a body for any request. */
const serveReply = (status: number, headers: Record<string, string>, body: string | Buffer = 'x') =>
  serve((_request, response) => void response.writeHead(status, headers).end(body));

const never = new AbortController().signal;
const fetchFrom = (urls: string[], allowed: string[], signal = never) =>
  fetchMedia(urls, addressGuard(allowed), signal);

describe('media', () => {
  it('are downloaded byte for byte, in their order', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const { host } = await serve((request, response) => {
      const late = request.url === '/first';
      const type = late ? 'image/JPEG; charset=binary' : 'video/mp4';
      setTimeout(
        () => response.writeHead(200, { 'content-type': type }).end(late ? bytes : 'film'),
        late ? 30 : 0,
      );
    });
    const media = await fetchFrom([`http://${host}/first`, `http://${host}/second?token=1`], [host]);
    expect(media.map(({ contentType, fileName }) => [contentType, fileName])).toEqual([
      ['image/jpeg', 'media-1.jpeg'],
      ['video/mp4', 'media-2.mp4'],
    ]);
    expect(Buffer.from(media[0]?.bytes ?? []).equals(bytes)).toBe(true);
    expect(Buffer.from(media[1]?.bytes ?? []).toString()).toBe('film');
  });

  it('are none if there are no URLs', async () => {
    expect(await fetchFrom([], [])).toEqual([]);
  });

  it('are fetched through three redirects, relative ones too', async () => {
    const { host, requests } = await serve((request, response) => {
      const step = Number(request.url?.slice(1));
      if (step === 3) response.writeHead(200, png).end('x');
      else response.writeHead([301, 302, 307][step] ?? 308, { location: `./${step + 1}` }).end();
    });
    expect(await fetchFrom([`http://${host}/0`], [host])).toHaveLength(1);
    expect(requests.map(({ url }) => url)).toEqual(['/0', '/1', '/2', '/3']);
  });

  it('are refused after more than three redirects, with an error that hides the query', async () => {
    const { host, requests } = await serve((_request, response) =>
      response.writeHead(302, { location: '/again?secret=1' }).end(),
    );
    const fetching = fetchFrom([`http://${host}/0`], [host]);
    await expect(fetching).rejects.toMatchObject({
      kind: 'rejected',
      message: `media 1 (${host}/again) redirects more than 3 times`,
    });
    expect(requests).toHaveLength(4);
  });
});

describe('media at a private address', () => {
  it.each(['http://127.0.0.1:PORT/a.png', 'http://localhost:PORT/a.png', 'http://2130706433:PORT/a.png'])(
    '(%s) are refused, and no request is sent',
    async (address) => {
      const { port, requests } = await serveReply(200, png);
      const fetching = fetchFrom([address.replace('PORT', String(port))], []);
      await expect(fetching).rejects.toMatchObject({
        kind: 'rejected',
        message: expect.stringMatching(/not a public address/),
      });
      expect(requests).toEqual([]);
    },
  );

  it.each([
    'http://127.0.0.1:PORT/',
    'http://localhost:PORT/',
    'http://[::ffff:127.0.0.1]:PORT/',
    'http://u:p@HOST/',
    'file:///etc/passwd',
  ])('are refused if a redirect leads to %s', async (address) => {
    const inside = await serveReply(200, png);
    const location = address.replace('PORT', String(inside.port)).replace('HOST', inside.host);
    const outside = await serveReply(302, { location });
    const fetching = fetchFrom([`http://${outside.host}/a.png`], [outside.host]);
    await expect(fetching).rejects.toMatchObject({ kind: 'rejected', provider: 'media' });
    expect(inside.requests).toEqual([]);
  });

  it('are fetched if the host is an exception, also by its name', async () => {
    const { port } = await serveReply(200, png);
    expect(await fetchFrom([`http://localhost:${port}/a.png`], [`localhost:${port}`])).toHaveLength(1);
  });
});

describe('a download of media', () => {
  it.each<[label: string, status: number, headers: Record<string, string>, kind: string]>([
    ['that do not exist', 404, png, 'rejected'],
    ['that are gone', 410, png, 'rejected'],
    ['that we may not read', 403, png, 'rejected'],
    ['that have no content', 204, {}, 'rejected'],
    ['that redirect nowhere', 302, {}, 'rejected'],
    ['of another type', 200, { 'content-type': 'text/html' }, 'rejected'],
    ['with a type that hides another header', 200, { 'content-type': 'image/"x' }, 'rejected'],
    ['without a type', 200, {}, 'rejected'],
    ['that are compressed', 200, { ...png, 'content-encoding': 'gzip' }, 'rejected'],
    ['on a server that fails', 500, png, 'not_sent'],
    ['behind a gateway that fails', 502, png, 'not_sent'],
    ['on a server that limits the rate', 429, png, 'not_sent'],
    ['on a server that is too slow', 408, png, 'not_sent'],
  ])('%s fails with the kind that fits the status %d', async (_label, status, headers, kind) => {
    const { host } = await serveReply(status, headers, status === 204 ? '' : 'x');
    await expect(fetchFrom([`http://${host}/a`], [host])).rejects.toMatchObject({ kind, provider: 'media' });
  });

  it('fails with the delay of the server’s Retry-After', async () => {
    const { host } = await serveReply(503, { ...png, 'retry-after': '7' });
    await expect(fetchFrom([`http://${host}/a`], [host])).rejects.toMatchObject({ retryAfterSeconds: 7 });
  });

  it('is rejected if the media are empty or the URL is invalid', async () => {
    const { host } = await serveReply(200, png, '');
    await expect(fetchFrom([`http://${host}/a`], [host])).rejects.toMatchObject({ kind: 'rejected' });
    await expect(fetchFrom(['nonsense'], [])).rejects.toMatchObject({ kind: 'rejected' });
  });

  it('is not_sent if the connection fails or is cut', async () => {
    const gone = await serveReply(200, png);
    await closeAll();
    await expect(fetchFrom([`http://${gone.host}/a`], [gone.host])).rejects.toMatchObject({
      kind: 'not_sent',
    });
    const cut = await serve((_request, response) => {
      response.writeHead(200, { ...png, 'content-length': '10' }).write('x');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(fetchFrom([`http://${cut.host}/a`], [cut.host])).rejects.toMatchObject({ kind: 'not_sent' });
  });

  it.each(['before the response', 'during the response'])(
    'is not_sent if the signal fires %s',
    async (when) => {
      const { host } = await serve((_request, response) => {
        if (when === 'during the response') response.writeHead(200, png).write('x');
      });
      const fetching = fetchFrom([`http://${host}/a`], [host], AbortSignal.timeout(60));
      await expect(fetching).rejects.toMatchObject({
        kind: 'not_sent',
        message: expect.stringMatching(/in time/),
      });
    },
  );

  it.each(['as declared', 'as received'])('is rejected if one is larger than 10 MB, %s', async (size) => {
    const { host } = await serve((_request, response) => {
      const length = { 'content-length': String(mediaLimits.bytesEach + 1) };
      response.writeHead(200, size === 'as declared' ? { ...png, ...length } : png);
      if (size === 'as declared') response.flushHeaders();
      else response.end(Buffer.alloc(mediaLimits.bytesEach + 1));
    });
    const fetching = fetchFrom([`http://${host}/a`], [host]);
    await expect(fetching).rejects.toMatchObject({
      kind: 'rejected',
      message: expect.stringMatching(/larger than 10 MB/),
    });
  });

  it('is rejected if they are larger than 30 MB in all, and accepted up to that', async () => {
    const { host } = await serveReply(200, png, Buffer.alloc(mediaLimits.bytesEach));
    const urls = (count: number) => Array.from({ length: count }, (_, place) => `http://${host}/${place}`);
    expect(await fetchFrom(urls(3), [host])).toHaveLength(3);
    await expect(fetchFrom(urls(4), [host])).rejects.toMatchObject({
      kind: 'rejected',
      message: expect.stringMatching(/larger than 30 MB in all/),
    });
  });
});
