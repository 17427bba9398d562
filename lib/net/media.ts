import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { ProviderError, type ProviderErrorKind, retryAfterSeconds } from './http';
import { networkCode } from './network-error';
import { type AddressGuard, PRIVATE_ADDRESS } from './public-address';
import { readUpTo } from './read-up-to';
import { within } from './within';

/** A picture or a video, as it was downloaded. */
export interface Media {
  /** `image/…` or `video/…`, without parameters. */
  contentType: string;
  /** Made from its place and its type: `media-1.png`. */
  fileName: string;
  bytes: Uint8Array;
}

export const mediaLimits = { bytesEach: 10 * 1024 * 1024, bytesInAll: 30 * 1024 * 1024 } as const;

const PROVIDER = 'media';
const MOST_REDIRECTS = 3;

/**
 * Downloads what the addresses show, side by side, in their order. The first that fails ends all of them.
 *
 * Throws a `ProviderError`: `rejected` where it will be no other next time (a private address, 404, another type, too large), `not_sent`
 * where it may be (the network, 5xx, 429, the signal).
 */
export async function fetchMedia(urls: string[], guard: AddressGuard, signal: AbortSignal): Promise<Media[]> {
  const budget = { bytes: mediaLimits.bytesInAll };
  return within(signal, null, (first) =>
    Promise.all(urls.map((url, index) => fetchOne(url, `media ${index + 1}`, index, guard, budget, first))),
  );
}

async function fetchOne(
  address: string,
  name: string,
  index: number,
  guard: AddressGuard,
  budget: { bytes: number },
  signal: AbortSignal,
): Promise<Media> {
  if (!URL.canParse(address)) throw failure('rejected', `${name} has no valid address`);
  let url = new URL(address);
  for (let redirects = 0; ; redirects += 1) {
    const refusal = guard.refusal(url);
    if (refusal) throw failure('rejected', `${name} is not fetched: ${refusal}`);
    const what = `${name} (${url.host}${url.pathname})`;
    const response = await open(url, what, guard, signal);
    try {
      const next = redirectOf(response, url, what);
      if (next === null) {
        checkStatus(response, what);
        const contentType = checkType(response, what);
        const bytes = await readBytes(response, what, budget, signal);
        const extension = contentType.replace(/^\w+\//, '').replace(/\W.*$/, '');
        return { contentType, fileName: `media-${index + 1}.${extension}`, bytes };
      }
      if (redirects === MOST_REDIRECTS) throw failure('rejected', `${what} is redirected too often`);
      url = next;
    } finally {
      response.destroy();
    }
  }
}

/** Connects anew each time: a connection kept open may have been made under another guard. */
function open(url: URL, what: string, guard: AddressGuard, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    send(url, {
      agent: false,
      lookup: guard.lookupFor(url),
      headers: { accept: 'image/*, video/*', 'accept-encoding': 'identity', 'user-agent': 'Punctual' },
      signal,
    })
      .on('response', resolve)
      .on('error', (error) => reject(networkFailure(error, what, signal)))
      .end();
  });
}

function redirectOf({ statusCode = 0, headers }: IncomingMessage, from: URL, what: string): URL | null {
  if (![301, 302, 303, 307, 308].includes(statusCode)) return null;
  if (!headers.location || !URL.canParse(headers.location, from)) {
    throw failure('rejected', `${what} is redirected to nowhere`);
  }
  return new URL(headers.location, from);
}

function checkStatus({ statusCode: status = 0, headers }: IncomingMessage, what: string): void {
  if (status === 200) return;
  const passing = status === 408 || status === 425 || status === 429 || status >= 500;
  const wait = passing ? retryAfterSeconds(headers['retry-after'] ?? null, Date.now()) : null;
  throw failure(passing ? 'not_sent' : 'rejected', `${what} answered ${status}`, wait);
}

function checkType({ headers }: IncomingMessage, what: string): string {
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (!/^(image|video)\/[a-z0-9][a-z0-9.+-]{0,60}$/.test(type)) {
    throw failure(
      'rejected',
      `${what} is neither a picture nor a video, but ${type.slice(0, 60) || 'of no type'}`,
    );
  }
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw failure('rejected', `${what} comes packed, which was not asked for`);
  }
  return type;
}

async function readBytes(
  response: IncomingMessage,
  what: string,
  budget: { bytes: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  let length = 0;
  const checkSize = (bytes: number) => {
    if (bytes > mediaLimits.bytesEach)
      throw failure('rejected', `${what} is larger than ${megabytes(mediaLimits.bytesEach)}`);
    if (bytes - length > budget.bytes) {
      throw failure(
        'rejected',
        `${what} makes the media larger than ${megabytes(mediaLimits.bytesInAll)} in all`,
      );
    }
  };
  checkSize(Number(response.headers['content-length'] ?? 0));
  const bytes = await readUpTo(response, mediaLimits.bytesEach + 1, (chunk) => {
    checkSize(length + chunk.byteLength);
    length += chunk.byteLength;
    budget.bytes -= chunk.byteLength;
    return true;
  }).catch((error) => {
    throw error instanceof ProviderError ? error : networkFailure(error, what, signal);
  });
  if (length === 0) throw failure('rejected', `${what} is empty`);
  return bytes;
}

const megabytes = (bytes: number) => `${bytes / 1024 / 1024} MB`;

function networkFailure(error: unknown, what: string, signal: AbortSignal): ProviderError {
  if (signal.aborted) return failure('not_sent', `${what} did not arrive in time`);
  const code = networkCode(error);
  return code === PRIVATE_ADDRESS
    ? failure('rejected', `${what} is not fetched: its name has no public address`)
    : failure('not_sent', `${what} could not be fetched (${code ?? 'unknown cause'})`);
}

function failure(kind: ProviderErrorKind, message: string, wait: number | null = null): ProviderError {
  return new ProviderError(message, { kind, provider: PROVIDER, retryAfterSeconds: wait });
}
