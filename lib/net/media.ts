import type { IncomingMessage } from 'node:http';
import { guardedRequest } from './guarded-request.ts';
import { ProviderError, type ProviderErrorKind, retryAfterSeconds } from './http.ts';
import { networkCode } from './network-error.ts';
import { type AddressGuard, PRIVATE_ADDRESS } from './public-address.ts';
import { readUpTo } from './read-up-to.ts';
import { within } from './within.ts';

/** A downloaded picture or video. */
export interface Media {
  /** `image/…` or `video/…`, without parameters. */
  contentType: string;
  /** Made from its position and type: `media-1.png`. */
  fileName: string;
  bytes: Uint8Array;
}

export const mediaLimits = { bytesEach: 10 * 1024 * 1024, bytesInAll: 30 * 1024 * 1024 } as const;

const providerName = 'media';
const maxRedirects = 3;

/**
 * Downloads pictures and videos in parallel, and returns them in the order of their URLs. The first failure ends all downloads.
 *
 * Throws a `ProviderError`. `rejected` will fail again: a private address, 404, another type, too large. `not_sent` may succeed next time: the
 * network, 5xx, 429, the signal.
 */
export async function fetchMedia(urls: string[], guard: AddressGuard, signal: AbortSignal): Promise<Media[]> {
  const budget = { bytes: mediaLimits.bytesInAll };
  return within(signal, null, (inTime) =>
    Promise.all(urls.map((url, index) => fetchOne(url, `media ${index + 1}`, index, guard, budget, inTime))),
  );
}

async function fetchOne(
  text: string,
  name: string,
  index: number,
  guard: AddressGuard,
  budget: { bytes: number },
  signal: AbortSignal,
): Promise<Media> {
  if (!URL.canParse(text)) throw failure('rejected', `${name} has no valid URL`);
  let url = new URL(text);
  for (let redirects = 0; ; redirects += 1) {
    const fault = guard.faultOf(url);
    if (fault) throw failure('rejected', `${name} was not fetched: ${fault}`);
    const label = `${name} (${url.host}${url.pathname})`;
    const response = await open(url, label, guard, signal);
    try {
      const next = redirectOf(response, url, label);
      if (next === null) {
        checkStatus(response, label);
        const contentType = checkType(response, label);
        const bytes = await readBytes(response, label, budget, signal);
        const extension = contentType.replace(/^\w+\//, '').replace(/\W.*$/, '');
        return { contentType, fileName: `media-${index + 1}.${extension}`, bytes };
      }
      if (redirects === maxRedirects)
        throw failure('rejected', `${label} redirects more than ${maxRedirects} times`);
      url = next;
    } finally {
      response.destroy();
    }
  }
}

function open(url: URL, label: string, guard: AddressGuard, signal: AbortSignal): Promise<IncomingMessage> {
  const headers = { accept: 'image/*, video/*', 'accept-encoding': 'identity', 'user-agent': 'Punctual' };
  return guardedRequest(url, guard, { headers, signal }).catch((error) => {
    throw networkFailure(error, label, signal);
  });
}

function redirectOf({ statusCode = 0, headers }: IncomingMessage, from: URL, label: string): URL | null {
  if (![301, 302, 303, 307, 308].includes(statusCode)) return null;
  if (!headers.location || !URL.canParse(headers.location, from)) {
    throw failure('rejected', `${label} redirects without a valid location`);
  }
  return new URL(headers.location, from);
}

function checkStatus({ statusCode: status = 0, headers }: IncomingMessage, label: string): void {
  if (status === 200) return;
  const isTransient = status === 408 || status === 425 || status === 429 || status >= 500;
  const waitSeconds = isTransient ? retryAfterSeconds(headers['retry-after'] ?? null, Date.now()) : null;
  throw failure(isTransient ? 'not_sent' : 'rejected', `${label} answered ${status}`, waitSeconds);
}

function checkType({ headers }: IncomingMessage, label: string): string {
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (!/^(image|video)\/[a-z0-9][a-z0-9.+-]{0,60}$/.test(type)) {
    throw failure(
      'rejected',
      `${label} is neither a picture nor a video: its type is ${type.slice(0, 60) || 'missing'}`,
    );
  }
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw failure('rejected', `${label} is compressed, although the request excluded that`);
  }
  return type;
}

async function readBytes(
  response: IncomingMessage,
  label: string,
  budget: { bytes: number },
  signal: AbortSignal,
): Promise<Uint8Array> {
  let length = 0;
  const checkSize = (bytes: number) => {
    if (bytes > mediaLimits.bytesEach)
      throw failure('rejected', `${label} is larger than ${megabytes(mediaLimits.bytesEach)}`);
    if (bytes - length > budget.bytes) {
      throw failure(
        'rejected',
        `${label} makes the media larger than ${megabytes(mediaLimits.bytesInAll)} in all`,
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
    throw error instanceof ProviderError ? error : networkFailure(error, label, signal);
  });
  if (length === 0) throw failure('rejected', `${label} is empty`);
  return bytes;
}

const megabytes = (bytes: number) => `${bytes / 1024 / 1024} MB`;

function networkFailure(error: unknown, label: string, signal: AbortSignal): ProviderError {
  if (signal.aborted) return failure('not_sent', `${label} did not arrive in time`);
  const code = networkCode(error);
  return code === PRIVATE_ADDRESS
    ? failure('rejected', `${label} was not fetched: its name has no public address`)
    : failure('not_sent', `${label} could not be fetched (${code ?? 'unknown cause'})`);
}

function failure(kind: ProviderErrorKind, message: string, waitSeconds: number | null = null): ProviderError {
  return new ProviderError(message, { kind, provider: providerName, retryAfterSeconds: waitSeconds });
}
