import type { RequestListener } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { fetchMedia, mediaLimits } from '../../lib/net/media.ts';
import { addressGuard } from '../../lib/net/public-address.ts';
import { sites } from '../support/sites.ts';

const { serve, closeAll } = sites();
afterEach(closeAll);

const png = { 'content-type': 'image/png' };
const reply =
  (status: number, headers: Record<string, string> = png, body: string | Buffer = 'x'): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);

const never = new AbortController().signal;
const fetchFrom = (urls: string[], allowed: string[] = [], signal = never) =>
  fetchMedia(urls, addressGuard(allowed), signal);

/** Expects that the download from a server, which is an exception, fails like this. */
async function expectFailure(respond: RequestListener, expected: object, signal = never): Promise<void> {
  const { host } = await serve(respond);
  const fetching = fetchFrom([`http://${host}/a?secret=1`], [host], signal);
  await expect(fetching).rejects.toMatchObject({ provider: 'media', ...expected });
}

describe('media', () => {
  it('are downloaded byte for byte, in their order', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const { host } = await serve((request, response) => {
      const late = request.url === '/first';
      const type = late ? 'image/JPEG; charset=binary' : 'video/mp4';
      const answer = () => response.writeHead(200, { 'content-type': type }).end(late ? bytes : 'film');
      setTimeout(answer, late ? 30 : 0);
    });
    expect(await fetchFrom([`http://${host}/first`, `http://${host}/second?token=1`], [host])).toEqual([
      { contentType: 'image/jpeg', fileName: 'media-1.jpeg', bytes },
      { contentType: 'video/mp4', fileName: 'media-2.mp4', bytes: Buffer.from('film') },
    ]);
    expect(await fetchFrom([])).toEqual([]);
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
    const { host, requests } = await serve(reply(302, { location: '/again?secret=1' }));
    const message = `media 1 (${host}/again) redirects more than 3 times`;
    await expect(fetchFrom([`http://${host}/0`], [host])).rejects.toMatchObject({
      kind: 'rejected',
      message,
    });
    expect(requests).toHaveLength(4);
  });
});

describe('media of a private address', () => {
  it.each(['127.0.0.1', 'localhost', '2130706433'])(
    'at %s are refused without a request, also after a redirect',
    async (host) => {
      const { port, requests } = await serve(reply(200));
      const url = `http://${host}:${port}/a.png`;
      await expect(fetchFrom([url])).rejects.toMatchObject({ kind: 'rejected', provider: 'media' });
      await expectFailure(reply(302, { location: url }), { kind: 'rejected' });
      expect(requests).toEqual([]);
    },
  );

  it('are fetched if the host is an exception, also by its name', async () => {
    const { port } = await serve(reply(200));
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
    ['that redirect to a file', 302, { location: 'file:///etc/passwd' }, 'rejected'],
    ['of another type', 200, { 'content-type': 'text/html' }, 'rejected'],
    ['with a type that hides another header', 200, { 'content-type': 'image/"x' }, 'rejected'],
    ['without a type', 200, {}, 'rejected'],
    ['that are compressed', 200, { ...png, 'content-encoding': 'gzip' }, 'rejected'],
    ['on a server that fails', 500, png, 'not_sent'],
    ['behind a gateway that fails', 502, png, 'not_sent'],
    ['on a server that limits the rate', 429, png, 'not_sent'],
    ['on a server that is too slow', 408, png, 'not_sent'],
  ])('%s fails with the kind that fits the status %d', async (_label, status, headers, kind) => {
    await expectFailure(reply(status, headers, status === 204 ? '' : 'x'), { kind });
  });

  it('fails with the delay of the server’s Retry-After', async () => {
    await expectFailure(reply(503, { ...png, 'retry-after': '7' }), { retryAfterSeconds: 7 });
  });

  it('is rejected if the media are empty or the URL is invalid', async () => {
    await expectFailure(reply(200, png, ''), { kind: 'rejected' });
    await expect(fetchFrom(['nonsense'])).rejects.toMatchObject({ kind: 'rejected' });
    await expect(fetchFrom(['http://u:p@127.0.0.1/'], ['127.0.0.1'])).rejects.toMatchObject({
      kind: 'rejected',
    });
  });

  it('is not_sent if the connection fails or is cut', async () => {
    const gone = await serve(reply(200));
    await closeAll();
    const fetching = fetchFrom([`http://${gone.host}/a`], [gone.host]);
    await expect(fetching).rejects.toMatchObject({ kind: 'not_sent' });
    const cut: RequestListener = (_request, response) => {
      response.writeHead(200, { ...png, 'content-length': '10' }).write('x');
      setTimeout(() => response.destroy(), 20);
    };
    await expectFailure(cut, { kind: 'not_sent' });
  });

  it.each<[when: string, respond: RequestListener]>([
    ['before the response', () => {}],
    ['during the response', (_request, response) => void response.writeHead(200, png).write('x')],
  ])('is not_sent if the signal fires %s', async (_when, respond) => {
    const late = { kind: 'not_sent', message: expect.stringMatching(/in time/) };
    await expectFailure(respond, late, AbortSignal.timeout(60));
  });

  it('is rejected if one is larger than 10 MB, as declared or as received', async () => {
    const bytes = mediaLimits.bytesEach + 1;
    const tooLarge = { kind: 'rejected', message: expect.stringMatching(/larger than 10 MB/) };
    const declared = { ...png, 'content-length': String(bytes) };
    await expectFailure((_request, response) => response.writeHead(200, declared).flushHeaders(), tooLarge);
    // Without a declared length.
    await expectFailure(reply(200, png, Buffer.alloc(bytes)), tooLarge);
  });

  it('is rejected if they are larger than 30 MB in all, and accepted up to that', async () => {
    const { host } = await serve(reply(200, png, Buffer.alloc(mediaLimits.bytesEach)));
    const urls = (count: number) => Array.from({ length: count }, (_, place) => `http://${host}/${place}`);
    expect(await fetchFrom(urls(3), [host])).toHaveLength(3);
    const tooLarge = { kind: 'rejected', message: expect.stringMatching(/larger than 30 MB in all/) };
    await expect(fetchFrom(urls(4), [host])).rejects.toMatchObject(tooLarge);
  });
});
