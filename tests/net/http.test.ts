import { spawnSync } from 'node:child_process';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpRequest, ProviderError, request, retryAfterSeconds } from '../../lib/net/http.ts';
import { httpAnswer, loopback } from './loopback.ts';

const net = loopback();
afterEach(() => net.closeAll());

const post = (url: string, more: Partial<HttpRequest> = {}) =>
  request({ provider: 'acme', method: 'POST', url, body: 'hello', ...more });

async function failure(call: Promise<unknown>): Promise<ProviderError> {
  const error = await call.then(
    () => new Error('The call succeeded.'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ProviderError)) throw error;
  return error;
}

async function refusedUrl(): Promise<string> {
  const url = await net.serve(() => {});
  await net.closeAll();
  return url;
}

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

function selfSigned(): { key: string; cert: string } {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const out = ['-keyout', '-', '-out', '-', '-days', '1', '-subj', '/CN=localhost'];
  const pem = spawnSync('openssl', ['req', '-x509', ...curve, ...out], { encoding: 'utf8' }).stdout;
  return { key: pem, cert: pem.slice(pem.indexOf('-----BEGIN CERTIFICATE')) };
}

describe('a response', () => {
  it('is returned with its status, headers, text and JSON', async () => {
    const url = await net.answering((socket) => socket.end(httpAnswer(201, '{"a":[1]}', { 'x-id': '7' })));
    const response = await post(url);
    expect(response).toMatchObject({ status: 201, body: { a: [1] }, text: '{"a":[1]}' });
    expect(response.headers.get('x-id')).toBe('7');
  });

  it('that is not JSON has a null body and its text', async () => {
    const url = await net.answering((socket) => socket.end(httpAnswer(200, '<html>')));
    expect(await post(url)).toMatchObject({ body: null, text: '<html>' });
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
  it('if the port refuses the connection', async () => {
    const error = await failure(post(await refusedUrl()));
    expect(error).toMatchObject({ kind: 'not_sent', code: 'ECONNREFUSED', status: null, provider: 'acme' });
  });

  it('if every address of a name refuses the connection', async () => {
    const { port } = new URL(await refusedUrl());
    expect(await failure(post(`http://localhost:${port}`))).toMatchObject({ kind: 'not_sent' });
  });

  it('if the name does not exist', async () => {
    expect(await failure(post('http://nobody.invalid'))).toMatchObject({ kind: 'not_sent' });
  });

  it.skipIf(!hasOpenssl && !process.env.CI)('if the certificate is not trusted', async () => {
    let reached = false;
    const server = createServer(selfSigned(), () => {
      reached = true;
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const error = await failure(post(`https://127.0.0.1:${(server.address() as AddressInfo).port}`));
    server.close();
    expect(error).toMatchObject({ kind: 'not_sent', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    expect(reached).toBe(false);
  });

  it('if the signal was aborted before the call', async () => {
    let called = false;
    const url = await net.serve(() => {
      called = true;
    });
    const error = await failure(post(url, { signal: AbortSignal.abort() }));
    expect(error).toMatchObject({ kind: 'not_sent', code: 'aborted' });
    expect(called).toBe(false);
  });

  it('if the URL or a header is invalid, and hides both from the message', async () => {
    const secret = 'key-of-the\nhouse';
    const withHeader = await failure(post('http://127.0.0.1', { headers: { 'x-api-key': secret } }));
    expect(withHeader).toMatchObject({ kind: 'not_sent', code: 'invalid_request' });
    expect(withHeader.message).not.toContain('key-of');
    for (const url of ['https://', 'http://user:word@127.0.0.1/']) {
      const error = await failure(post(url));
      expect(error).toMatchObject({ kind: 'not_sent', code: 'invalid_request' });
      expect(error.message).not.toContain('word');
    }
  });
});

describe('request() throws uncertain', () => {
  it('if the connection is reset after the request', async () => {
    const url = await net.answering((socket) => socket.resetAndDestroy());
    expect(await failure(post(url))).toMatchObject({ kind: 'uncertain', status: null, code: 'ECONNRESET' });
  });

  it('if the connection closes without a response', async () => {
    const url = await net.answering((socket) => socket.destroy());
    expect(await failure(post(url))).toMatchObject({ kind: 'uncertain', code: 'UND_ERR_SOCKET' });
  });

  it('if the connection closes as soon as it opens, because the request may be on its way', async () => {
    const url = await net.serve((socket) => socket.destroy());
    expect(await failure(post(url))).toMatchObject({ kind: 'uncertain' });
  });

  it('if the response is not HTTP', async () => {
    const url = await net.answering((socket) => socket.end('220 smtp.example ESMTP\r\n\r\n'));
    expect(await failure(post(url))).toMatchObject({ kind: 'uncertain' });
  });

  it('if the provider hangs and the signal fires', async () => {
    const url = await net.answering(() => {});
    const error = await failure(post(url, { signal: AbortSignal.timeout(50) }));
    expect(error).toMatchObject({ kind: 'uncertain', code: 'aborted' });
  });

  it('if the provider hangs and the timeout passes', async () => {
    const url = await net.answering(() => {});
    expect(await failure(post(url, { timeoutMs: 50 }))).toMatchObject({ kind: 'uncertain', code: 'timeout' });
  });

  it('if the body trickles until the signal fires', async () => {
    const url = await net.answering((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n');
      const timer = setInterval(() => socket.write('a'), 10);
      socket.on('close', () => clearInterval(timer));
    });
    const error = await failure(post(url, { signal: AbortSignal.timeout(80) }));
    expect(error).toMatchObject({ kind: 'uncertain', code: 'aborted', status: 200 });
  });

  it('if the body is cut off', async () => {
    const url = await net.answering((socket) =>
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id":'),
    );
    expect(await failure(post(url))).toMatchObject({ kind: 'uncertain', code: 'answer_cut', status: 200 });
  });

  it('if a refusal is cut off before it gives its reason', async () => {
    const url = await net.answering((socket) =>
      socket.end('HTTP/1.1 422 No\r\ncontent-length: 100\r\n\r\n{"type":'),
    );
    expect(await failure(post(url))).toMatchObject({ kind: 'uncertain', status: 422 });
  });

  it('if the response is larger than 1 MB', async () => {
    const url = await net.answering((socket) => socket.end(httpAnswer(200, 'x'.repeat(1024 * 1024 + 1))));
    expect(await failure(post(url))).toMatchObject({ kind: 'uncertain', code: 'answer_too_long' });
  });

  it.each([408, 500, 502, 503, 504])('if the status is %d', async (status) => {
    const url = await net.answering((socket) => socket.end(httpAnswer(status, 'sorry')));
    expect(await failure(post(url))).toMatchObject({ kind: 'uncertain', status });
  });
});

describe('request() throws', () => {
  it.each([301, 307, 400, 404, 409, 422])('rejected if the status is %d', async (status) => {
    let calls = 0;
    const url = await net.answering((socket) => {
      calls += 1;
      socket.end(httpAnswer(status, '{}', { location: '/elsewhere' }));
    });
    expect(await failure(post(url))).toMatchObject({ kind: 'rejected', status });
    expect(calls).toBe(1);
  });

  it.each([
    [401, 'account'],
    [403, 'account'],
    [402, 'provider'],
  ])('account_refused if the status is %s, with the scope %s', async (status, scope) => {
    const url = await net.answering((socket) => socket.end(httpAnswer(status, '{}')));
    expect(await failure(post(url))).toMatchObject({ kind: 'account_refused', status, scope });
  });

  it('account_refused if the status is 401, even if the body is cut off', async () => {
    const cut = await net.answering((socket) => socket.end('HTTP/1.1 401 No\r\ncontent-length: 9\r\n\r\n'));
    const readError = () => null;
    const error = await failure(post(cut, { readError }));
    expect(error).toMatchObject({ kind: 'account_refused', status: 401, scope: 'account' });
  });

  it.each([302, 400, 401, 403, 404, 405, 410, 421, 451])(
    'account_refused for the whole provider if a %d is not in its format, because another server responded',
    async (status) => {
      const html = { 'content-type': 'text/html' };
      const url = await net.answering((socket) => socket.end(httpAnswer(status, '<html>', html)));
      const error = await failure(post(url, { readError: () => null }));
      expect(error).toMatchObject({ kind: 'account_refused', scope: 'provider', code: 'foreign_answer' });
      expect(error.message).toBe(
        `acme answered ${status} (foreign_answer): not in the format of its API (text/html); check its address, key and version`,
      );
    },
  );

  it.each([
    [408, 'uncertain'],
    [429, 'rate_limited'],
    [500, 'uncertain'],
    [502, 'uncertain'],
    [413, 'rejected'],
    [414, 'rejected'],
    [431, 'rejected'],
  ])('by the status alone if a %d is not in its format: %s', async (status, kind) => {
    const url = await net.answering((socket) => socket.end(httpAnswer(status, '<html>')));
    expect(await failure(post(url, { readError: () => null }))).toMatchObject({ kind, status });
  });

  it('rejected with the first 500 characters of the body if there is no readError', async () => {
    const text = `no such plan s3cret-key ${'x'.repeat(600)}`;
    const url = await net.answering((socket) => socket.end(httpAnswer(422, text)));
    const { message } = await failure(post(url, { headers: { authorization: 'Bearer s3cret-key' } }));
    expect(message).toMatch(/^acme answered 422: no such plan \*\*\* x+$/);
    expect(message).toHaveLength('acme answered 422: '.length + 500);
    // For other kinds the status is enough.
    const failing = await net.answering((socket) => socket.end(httpAnswer(500, text)));
    expect((await failure(post(failing))).message).toBe('acme answered 500');
  });

  it('rejected with the provider’s code and text, and masks our key in them', async () => {
    const url = await net.answering((socket) => socket.end(httpAnswer(400, 'Malformed token s3cret-key\0!')));
    const headers = { authorization: 'Bearer s3cret-key' };
    const error = await failure(
      post(`${url}/?q=private`, { headers, readError: ({ text }) => ({ code: 190, detail: text }) }),
    );
    expect(error.code).toBe(190);
    expect(error.message).toBe('acme answered 400 (190): Malformed token *** !');
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
  ])('if the status is 429, with the Retry-After given as %s', async (_label, header, seconds) => {
    const url = await net.answering((socket) => socket.end(httpAnswer(429, '', { 'retry-after': header })));
    const error = await failure(post(url, { now }));
    expect(error).toMatchObject({ kind: 'rate_limited', status: 429, retryAfterSeconds: seconds });
  });

  it('for the whole account and without a delay if the provider says nothing more', async () => {
    const url = await net.answering((socket) => socket.end(httpAnswer(429, '')));
    expect(await failure(post(url))).toMatchObject({ scope: 'account', retryAfterSeconds: null });
  });

  it('with the delay and the scope that the provider’s error names', async () => {
    const url = await net.answering((socket) => socket.end(httpAnswer(422, '')));
    const readError = () => ({ kind: 'rate_limited', scope: 'pair', retryAfterSeconds: 60 }) as const;
    const error = await failure(post(url, { readError }));
    expect(error).toMatchObject({ kind: 'rate_limited', scope: 'pair', retryAfterSeconds: 60 });
  });

  it('with the delay of the header, even if the provider’s error names another', async () => {
    const url = await net.answering((socket) => socket.end(httpAnswer(429, '', { 'retry-after': '7' })));
    const error = await failure(post(url, { readError: () => ({ retryAfterSeconds: 60 }) }));
    expect(error).toMatchObject({ retryAfterSeconds: 7 });
  });

  it('and invents no delay without a Retry-After', () => {
    expect(retryAfterSeconds(null, now())).toBeNull();
    expect(retryAfterSeconds(' ', now())).toBeNull();
  });
});
