import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpRequest, type ProviderError, request, retryAfterSeconds } from '../../lib/net/http.ts';
import { sites } from '../support/sites.ts';
import { httpAnswer, loopback } from './loopback.ts';

const net = loopback();
afterEach(() => net.closeAll());

const post = (url: string, more: Partial<HttpRequest> = {}) =>
  request({ provider: 'acme', method: 'POST', url, body: 'hello', ...more });

/** Expects that a POST to the URL throws a ProviderError like this. */
const expectError = (url: string, expected: object, more?: Partial<HttpRequest>) =>
  expect(post(url, more)).rejects.toMatchObject({ name: 'ProviderError', provider: 'acme', ...expected });

/** Returns the URL of a server that gives one response. */
const responding = (status: number, body = '', headers?: Record<string, string>) =>
  net.answering((socket) => socket.end(httpAnswer(status, body, headers)));

describe('a response', () => {
  it('is returned with its status, headers, text and JSON, or null if it is not JSON', async () => {
    const response = await post(await responding(201, '{"a":[1]}', { 'x-id': '7' }));
    expect(response).toMatchObject({ status: 201, body: { a: [1] }, text: '{"a":[1]}' });
    expect(response.headers.get('x-id')).toBe('7');
    expect(await post(await responding(200, '<html>'))).toMatchObject({ body: null, text: '<html>' });
  });

  it('comes over a new connection, because a kept one may be dead after a function was suspended', async () => {
    let raw = '';
    const url = await net.answering((socket, sent) => {
      raw = sent;
      socket.end(httpAnswer(200, '{}'));
    });
    await post(url);
    expect(raw).toMatch(/^connection: close$/im);
  });
});

describe('request() throws not_sent', () => {
  it('if the port or every address of a name refuses the connection, or the name does not exist', async () => {
    const url = await net.serve(() => {});
    await net.closeAll();
    await expectError(url, { kind: 'not_sent', code: 'ECONNREFUSED', status: null });
    await expectError(url.replace('127.0.0.1', 'localhost'), { kind: 'not_sent' });
    await expectError('http://nobody.invalid', { kind: 'not_sent' });
  });

  it('if the certificate is not trusted', async () => {
    const { serve, closeAll } = sites();
    const { host, requests } = await serve((_request, response) => response.end(), 'self-signed');
    await expectError(`https://${host}`, { kind: 'not_sent', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect(requests).toEqual([]);
    await closeAll();
  });

  it('if the signal was aborted before the call', async () => {
    let called = false;
    const url = await net.serve(() => {
      called = true;
    });
    await expectError(url, { kind: 'not_sent', code: 'aborted' }, { signal: AbortSignal.abort() });
    expect(called).toBe(false);
  });

  it.each([
    ['http://127.0.0.1', 'secret-of-the\nhouse'],
    ['https://', 'k'],
    ['http://user:secret@127.0.0.1/', 'k'],
  ])('if the URL or a header is invalid, and hides both: %s with the key %j', async (url, key) => {
    const message = 'acme was not called: its address or a header is not valid';
    const error = { kind: 'not_sent', code: 'invalid_request', message };
    await expectError(url, error, { headers: { 'x-api-key': key } });
  });
});

describe('request() throws uncertain', () => {
  const sending = (bytes: string) => (socket: Socket) => void socket.end(bytes);
  /** Aborted after ten parts of a trickling body, so that its head has arrived also on a slow machine. */
  let afterTenParts = new AbortController();
  const trickle = (socket: Socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n');
    let parts = 0;
    const timer = setInterval(() => {
      socket.write('a');
      if (++parts === 10) afterTenParts.abort();
    }, 10);
    socket.on('close', () => clearInterval(timer));
  };
  const whileTrickling = () => {
    afterTenParts = new AbortController();
    return { signal: afterTenParts.signal };
  };
  const cut = (status: number) => sending(`HTTP/1.1 ${status} Said\r\ncontent-length: 100\r\n\r\n{"type":`);
  const large = sending(httpAnswer(200, 'x'.repeat(1024 * 1024 + 1)));
  const soon = () => ({ signal: AbortSignal.timeout(60) });

  it.each<[string, (socket: Socket) => void, object, (() => Partial<HttpRequest>)?]>([
    ['the connection is reset', (socket) => socket.resetAndDestroy(), { code: 'ECONNRESET', status: null }],
    ['it closes without a response', (socket) => socket.destroy(), { code: 'UND_ERR_SOCKET' }],
    ['the response is not HTTP', sending('220 smtp.example ESMTP\r\n\r\n'), {}],
    ['the provider hangs and the signal fires', () => {}, { code: 'aborted' }, soon],
    ['the provider hangs and the timeout passes', () => {}, { code: 'timeout' }, () => ({ timeoutMs: 50 })],
    ['the body trickles until the signal fires', trickle, { code: 'aborted', status: 200 }, whileTrickling],
    ['the body is cut off', cut(200), { code: 'answer_cut', status: 200 }],
    ['a refusal is cut off before it gives its reason', cut(422), { status: 422 }],
    ['the response is larger than 1 MB', large, { code: 'answer_too_long' }],
  ])('if %s after the request', async (_label, answer, expected, more) => {
    await expectError(await net.answering(answer), { kind: 'uncertain', ...expected }, more?.());
  });

  it('if the connection closes as soon as it opens, because the request may be on its way', async () => {
    await expectError(await net.serve((socket) => socket.destroy()), { kind: 'uncertain' });
  });
});

describe('request() throws', () => {
  it.each([
    ['uncertain', [408, 500, 502, 503, 504], 'account'],
    ['account_refused', [401, 403], 'account'],
    ['account_refused', [402], 'provider'],
    ['rejected', [301, 307, 400, 404, 409, 422], 'account'],
  ])(
    '%s if the status is one of %j, with the scope %s, and follows no redirect',
    async (kind, statuses, scope) => {
      let calls = 0;
      for (const status of statuses) {
        const url = await net.answering((socket) => {
          calls += 1;
          socket.end(httpAnswer(status, '{}', { location: '/elsewhere' }));
        });
        await expectError(url, { kind, status, scope });
      }
      expect(calls).toBe(statuses.length);
    },
  );

  /** No body is in the provider's format. */
  const foreign = { readError: () => null };

  it('account_refused if the status is 401, even if the body is cut off', async () => {
    const cut = await net.answering((socket) => socket.end('HTTP/1.1 401 No\r\ncontent-length: 9\r\n\r\n'));
    await expectError(cut, { kind: 'account_refused', status: 401, scope: 'account' }, foreign);
  });

  it.each([302, 400, 401, 403, 404, 405, 410, 421, 451])(
    'account_refused for the whole provider if a %d is not in its format, because another server responded',
    async (status) => {
      const message = `acme answered ${status} (foreign_answer): not in the format of its API (text/html); check its address, key and version`;
      const refused = { kind: 'account_refused', scope: 'provider', code: 'foreign_answer', message };
      await expectError(
        await responding(status, '<html>', { 'content-type': 'text/html' }),
        refused,
        foreign,
      );
    },
  );

  it.each([
    ['uncertain', [408, 500, 502]],
    ['rate_limited', [429]],
    ['rejected', [413, 414, 431]],
  ])('%s by the status alone if one of %j is not in its format', async (kind, statuses) => {
    for (const status of statuses)
      await expectError(await responding(status, '<html>'), { kind, status }, foreign);
  });

  const headers = { authorization: 'Bearer s3cret-key' };

  it('rejected with the first 500 characters of the body if there is no readError, and masks our key', async () => {
    const text = `no such plan s3cret-key ${'x'.repeat(600)}`;
    const message = `acme answered 422: no such plan *** ${'x'.repeat(500 - 'no such plan *** '.length)}`;
    await expectError(await responding(422, text), { message }, { headers });
    // For other kinds the status is enough.
    await expectError(await responding(500, text), { message: 'acme answered 500' });
  });

  it('rejected with the provider’s code and text, and masks our key in them', async () => {
    const url = await responding(400, 'Malformed token s3cret-key\0!');
    const expected = { code: 190, message: 'acme answered 400 (190): Malformed token *** !' };
    await expectError(url, expected, { headers, readError: ({ text }) => ({ code: 190, detail: text }) });
  });
});

describe('request() throws rate_limited', () => {
  const now = () => Date.parse('2026-11-22T10:00:00Z');
  it.each([
    ['seconds', '7', 7],
    ['a date', 'Sun, 22 Nov 2026 10:01:30 GMT', 90],
    ['a date that has passed', 'Sun, 22 Nov 2026 09:00:00 GMT', 0],
    ['nonsense', 'soon', null],
    ['a thousand years', '31536000000', 604_800],
    ['blank', ' ', null],
    ['missing', null, null],
  ])('with the seconds of a Retry-After that is %s', (_label, header, seconds) => {
    expect(retryAfterSeconds(header, now())).toBe(seconds);
  });

  it('with the scope and the delay of the provider’s error, and with that of the header before it', async () => {
    const unknown = { kind: 'rate_limited', status: 429, scope: 'account', retryAfterSeconds: null };
    await expectError(await responding(429), unknown);
    const limit = { kind: 'rate_limited', scope: 'pair', retryAfterSeconds: 60 } as const;
    await expectError(await responding(422), limit, { readError: () => limit });
    const url = await responding(429, '', { 'retry-after': 'Sun, 22 Nov 2026 10:01:30 GMT' });
    await expectError(url, { ...limit, retryAfterSeconds: 90 }, { now, readError: () => limit });
  });
});

describe('the answer in an error', () => {
  const body = '{"detail":"the key k-123456 may not send \\"Dear Ada, come at noon\\""}';
  const more = { headers: { 'x-api-key': 'k-123456' }, privateTexts: ['Dear Ada, come at noon'] };

  it('is the beginning of the body, without the key and the private text, and so is the message', async () => {
    const failed = post(await responding(422, body + 'x'.repeat(5_000)), { ...more, readError: () => ({}) });
    const error = (await failed.catch((thrown) => thrown)) as ProviderError;
    expect(error.answer).toMatch(/^{"detail":"the key \*\*\* may not send/);
    expect(error.answer).toHaveLength(2_048);
    for (const text of [error.answer, error.message]) {
      expect(text).not.toContain('k-123456');
      expect(text).not.toContain('Ada');
    }
  });

  it('is null for a read, and without a response', async () => {
    await expectError(await responding(500, body), { answer: null }, { method: 'GET', body: undefined });
    await expectError('http://nobody.invalid', { answer: null });
  });
});
