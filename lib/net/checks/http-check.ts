import { type IncomingMessage, request, validateHeaderName, validateHeaderValue } from 'node:http';
import type { Socket } from 'node:net';
import { type AddressGuard, isPublicAddress } from '../public-address.ts';
import { readUpTo } from '../read-up-to.ts';
import { describeExpiry } from './certificate-expiry.ts';
import { FailedCheckError } from './failed-check.ts';
import { type ConnectOptions, openTcp, openTls } from './open-connection.ts';
import { type CheckLimits, type CheckResult, runCheck, type Trace } from './run-check.ts';
import { siteBodyBytes, textOfBody } from './site-body.ts';
import { isExpectedStatus, readStatuses } from './status-ranges.ts';

export interface HttpCheck extends CheckLimits {
  url: string;
  /** The request has no body. */
  method: string;
  /** Sent only to the origin of `url`, not to another that it redirects to. */
  headers: Record<string, string>;
  /** Codes and ranges: `200-299,301`. */
  expectedStatus: string;
  /** A case-sensitive text that the first 1 MB of the body must contain. */
  keywordPresent: string | null;
  /** A text that it must not contain. */
  keywordAbsent: string | null;
  /** 0: a redirect is checked by its status, as any response. */
  maxRedirects: number;
  certificateDays: number | null;
}

/**
 * Requests a site and checks its response. Follows redirects as browsers do, with a new connection under the guard for each hop. Never rejects, and
 * leaves no connection open.
 */
export function httpCheck(
  check: HttpCheck,
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<CheckResult> {
  return runCheck(check, signal, async (trace, inTime) => {
    let guarded = options;
    let hop: Hop = { url: new URL(check.url), method: check.method, headers: requestHeaders(check.headers) };
    for (;;) {
      const next = await requestHop(hop, check, guarded, trace, inTime);
      if (next === null) return describeExpiry(trace.certificateExpiresAt, check.certificateDays);
      trace.redirects += 1;
      guarded = { ...options, guard: guardAfter(trace.address, guarded.guard) };
      hop = next;
    }
  });
}

/** After a public address, a redirect may lead only to public addresses: the exceptions are the operator's choice, not the site's. */
export const guardAfter = (address: string | null, guard: AddressGuard): AddressGuard =>
  address !== null && isPublicAddress(address) ? guard.withoutExceptions : guard;

interface Hop {
  url: URL;
  method: string;
  headers: Record<string, string>;
}

/** Returns the hop that the response redirects to; null if it was the last hop and passed. */
async function requestHop(
  hop: Hop,
  check: HttpCheck,
  options: ConnectOptions,
  trace: Trace,
  signal: AbortSignal,
): Promise<Hop | null> {
  trace.statusCode = null;
  const { url } = hop;
  const isTls = url.protocol === 'https:';
  const tcpSocket = await openTcp(url, Number(url.port || (isTls ? 443 : 80)), options, trace, signal);
  let socket: Socket = tcpSocket;
  try {
    if (isTls) socket = await openTls(url, tcpSocket, options, trace, signal);
    const response = await sendRequest(hop, socket, trace, signal);
    trace.statusCode = response.statusCode ?? null;
    const next = redirectOf(response, hop, check.maxRedirects, trace.redirects);
    if (next === null) await checkResponse(response, check, signal);
    trace.enter(null);
    return next;
  } finally {
    socket.destroy();
    tcpSocket.destroy();
  }
}

/** Sends the request. Resolves with the head of the response. */
function sendRequest(hop: Hop, socket: Socket, trace: Trace, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, method, headers } = hop;
  trace.enter('firstByte');
  return new Promise((resolve, reject) => {
    let received: IncomingMessage | null = null;
    request({
      createConnection: () => socket,
      method,
      path: `${url.pathname}${url.search}`,
      headers: { host: url.host, accept: '*/*', 'accept-encoding': 'gzip, deflate, br', ...headers },
      setHost: false,
      // Accepts what browsers accept of a sloppy server. It is safe: the connection carries no other response.
      insecureHTTPParser: true,
      signal,
    })
      .on('socket', () => socket.once('data', () => trace.enter('body')))
      .on('response', (response) => {
        received = response;
        // Stays, because an unhandled error after the last byte that is read would end the process.
        response.on('error', () => {});
        resolve(response);
      })
      .on('upgrade', () =>
        reject(new FailedCheckError('it switched to another protocol, which was not requested')),
      )
      .on('error', (error) => {
        // The reader would only see that the body was cut off. An error after the end does not matter.
        if (!received?.complete) received?.destroy(error);
        reject(error);
      })
      // Has no effect if the promise is settled already.
      .on('close', () => reject(new FailedCheckError('it closed the connection without a response')))
      .end();
  });
}

function redirectOf(
  response: IncomingMessage,
  from: Hop,
  maxRedirects: number,
  redirects: number,
): Hop | null {
  const { statusCode: status = 0, headers } = response;
  if (maxRedirects === 0 || !redirectStatuses.includes(status) || headers.location === undefined) return null;
  // Browsers read the header as UTF-8, Node as Latin-1.
  const location = Buffer.from(headers.location, 'latin1').toString();
  if (!URL.canParse(location, from.url)) throw new FailedCheckError('it redirects to an invalid URL');
  if (redirects >= maxRedirects) throw new FailedCheckError('it redirects more often than allowed');
  const url = new URL(location, from.url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new FailedCheckError(`it redirects to ${url.protocol}, which is neither http nor https`);
  // As `fetch` does.
  const { method } = from;
  const becomesGet =
    ((status === 301 || status === 302) && method === 'POST') ||
    (status === 303 && method !== 'GET' && method !== 'HEAD');
  return {
    url,
    method: becomesGet ? 'GET' : method,
    // Any of the user's headers may be a secret.
    headers: url.origin === from.url.origin ? from.headers : { 'user-agent': userAgent },
  };
}

const redirectStatuses = [301, 302, 303, 307, 308];

async function checkResponse(
  response: IncomingMessage,
  check: HttpCheck,
  signal: AbortSignal,
): Promise<void> {
  const status = response.statusCode ?? 0;
  const { expectedStatus, keywordPresent, keywordAbsent } = check;
  if (!isExpectedStatus(status, readStatuses(expectedStatus) ?? []))
    throw new FailedCheckError(`it answered ${status}, not ${expectedStatus}`);
  const hasKeyword = keywordPresent !== null || keywordAbsent !== null;
  const body = await readUpTo(response, siteBodyBytes, () => hasKeyword);
  signal.throwIfAborted();
  if (!hasKeyword) return;
  const text = await textOfBody(body, response.headers, signal);
  const where = body.byteLength < siteBodyBytes ? 'its response' : 'the first 1 MB of its response';
  if (keywordPresent !== null && !text.includes(keywordPresent))
    throw new FailedCheckError(`"${keywordPresent.slice(0, 100)}" is not in ${where}`);
  if (keywordAbsent !== null && text.includes(keywordAbsent))
    throw new FailedCheckError(`"${keywordAbsent.slice(0, 100)}" is in ${where}`);
}

const userAgent = 'Punctual';

/** Headers of the connection or of a body. A user cannot set them. */
const reservedHeaders =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|content-length|upgrade|expect|http2-settings)$/;

/** Returns the headers to send. Names are in lower case, so that a user's header replaces ours. */
function requestHeaders(headers: Record<string, string>): Record<string, string> {
  const result: Record<string, string> = { 'user-agent': userAgent };
  for (const [givenName, value] of Object.entries(headers)) {
    const name = givenName.toLowerCase();
    if (reservedHeaders.test(name)) continue;
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      throw new FailedCheckError(`the request header ${givenName.slice(0, 60)} is not valid`);
    }
    result[name] = value;
  }
  return result;
}
