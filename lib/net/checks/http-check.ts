import { type IncomingMessage, request, validateHeaderName, validateHeaderValue } from 'node:http';
import type { Socket } from 'node:net';
import { type AddressGuard, isPublicAddress } from '../public-address';
import { readUpTo } from '../read-up-to';
import { tellExpiry } from './certificate-expiry';
import { FailedCheckError } from './failed-check';
import { type ConnectOptions, openTcp, openTls } from './open-connection';
import { type CheckLimits, type CheckResult, runCheck, type Trace } from './run-check';
import { siteBodyBytes, textOfBody } from './site-body';
import { isExpectedStatus, readStatuses } from './status-ranges';

export interface HttpCheck extends CheckLimits {
  url: string;
  /** Asked without a body. */
  method: string;
  /** Sent to the origin of `url`, and to no other that it redirects to. */
  headers: Record<string, string>;
  /** `200-299,301` */
  expectedStatus: string;
  /** Looked for in the first 1 MB of the body, as it is written. */
  keywordPresent: string | null;
  keywordAbsent: string | null;
  /** 0: a redirect is judged by its status like any other answer. */
  maxRedirects: number;
  certificateDays: number | null;
}

/**
 * Asks a site and judges its answer, redirects followed as browsers do. Every hop is connected to anew, under the guard. Never rejects,
 * whatever the site does, and leaves nothing open.
 */
export function httpCheck(
  check: HttpCheck,
  options: ConnectOptions,
  signal: AbortSignal,
): Promise<CheckResult> {
  return runCheck(check, signal, async (trace, inTime) => {
    let guarded = options;
    let hop: Hop = { url: new URL(check.url), method: check.method, headers: ownHeaders(check.headers) };
    for (;;) {
      const next = await askHop(hop, check, guarded, trace, inTime);
      if (next === null) return tellExpiry(trace.certificateExpiresAt, check.certificateDays);
      trace.redirects += 1;
      guarded = { ...options, guard: guardAfter(trace.address, guarded.guard) };
      hop = next;
    }
  });
}

/** What is out in the open cannot lead to where the operator lets monitors go: that is his choice, and not its own. */
export const guardAfter = (address: string | null, guard: AddressGuard): AddressGuard =>
  address !== null && isPublicAddress(address) ? guard.withoutExceptions : guard;

interface Hop {
  url: URL;
  method: string;
  headers: Record<string, string>;
}

/** Where it leads on to; null where it was the last, and good. */
async function askHop(
  hop: Hop,
  check: HttpCheck,
  options: ConnectOptions,
  trace: Trace,
  signal: AbortSignal,
): Promise<Hop | null> {
  trace.statusCode = null;
  const { url } = hop;
  const isTls = url.protocol === 'https:';
  const plain = await openTcp(url, Number(url.port || (isTls ? 443 : 80)), options, trace, signal);
  let socket: Socket = plain;
  try {
    if (isTls) socket = await openTls(url, plain, options, trace, signal);
    const response = await ask(hop, socket, trace, signal);
    trace.statusCode = response.statusCode ?? null;
    const next = redirectOf(response, hop, check.maxRedirects, trace.redirects);
    if (next === null) await judge(response, check, signal);
    trace.enter(null);
    return next;
  } finally {
    socket.destroy();
    plain.destroy();
  }
}

/** Until the head of the answer is there. */
function ask(hop: Hop, socket: Socket, trace: Trace, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, method, headers } = hop;
  trace.enter('firstByte');
  return new Promise((resolve, reject) => {
    let answer: IncomingMessage | null = null;
    request({
      createConnection: () => socket,
      method,
      path: `${url.pathname}${url.search}`,
      headers: { host: url.host, accept: '*/*', 'accept-encoding': 'gzip, deflate, br', ...headers },
      setHost: false,
      // What browsers take of a sloppy server is taken: the connection carries this answer and no other.
      insecureHTTPParser: true,
      signal,
    })
      .on('socket', () => socket.once('data', () => trace.enter('body')))
      .on('response', (response) => {
        answer = response;
        // Stays, so that what goes wrong after the last byte that is read is heard.
        response.on('error', () => {});
        resolve(response);
      })
      .on('upgrade', () =>
        reject(new FailedCheckError('it changed to another protocol, which nobody asked for')),
      )
      .on('error', (error) => {
        // To its reader it would only be cut off. What comes after its end counts for nothing.
        if (!answer?.complete) answer?.destroy(error);
        reject(error);
      })
      // The last word of all, where there was none before it.
      .on('close', () => reject(new FailedCheckError('it closed the connection without an answer')))
      .end();
  });
}

function redirectOf(response: IncomingMessage, from: Hop, most: number, soFar: number): Hop | null {
  const { statusCode: status = 0, headers: answered } = response;
  if (most === 0 || !redirectStatuses.includes(status) || answered.location === undefined) return null;
  // As browsers read it: as UTF-8, where Node takes it for Latin-1.
  const location = Buffer.from(answered.location, 'latin1').toString();
  if (!URL.canParse(location, from.url)) throw new FailedCheckError('it redirects to no valid URL');
  if (soFar >= most) throw new FailedCheckError('it redirects once more than it may');
  const url = new URL(location, from.url);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new FailedCheckError(`it redirects to ${url.protocol}, which is neither http nor https`);
  // As fetch does.
  const { method } = from;
  const becomesGet =
    ((status === 301 || status === 302) && method === 'POST') ||
    (status === 303 && method !== 'GET' && method !== 'HEAD');
  return {
    url,
    method: becomesGet ? 'GET' : method,
    // Any of them may be a secret.
    headers: url.origin === from.url.origin ? from.headers : { 'user-agent': userAgent },
  };
}

const redirectStatuses = [301, 302, 303, 307, 308];

async function judge(response: IncomingMessage, check: HttpCheck, signal: AbortSignal): Promise<void> {
  const status = response.statusCode ?? 0;
  const { expectedStatus, keywordPresent, keywordAbsent } = check;
  if (!isExpectedStatus(status, readStatuses(expectedStatus) ?? []))
    throw new FailedCheckError(`it answered ${status}, not ${expectedStatus}`);
  const looksForKeyword = keywordPresent !== null || keywordAbsent !== null;
  const body = await readUpTo(response, siteBodyBytes, () => looksForKeyword);
  signal.throwIfAborted();
  if (!looksForKeyword) return;
  const text = await textOfBody(body, response.headers, signal);
  const where = body.byteLength < siteBodyBytes ? 'its answer' : 'the first 1 MB of its answer';
  if (keywordPresent !== null && !text.includes(keywordPresent))
    throw new FailedCheckError(`"${keywordPresent.slice(0, 100)}" is not in ${where}`);
  if (keywordAbsent !== null && text.includes(keywordAbsent))
    throw new FailedCheckError(`"${keywordAbsent.slice(0, 100)}" is in ${where}`);
}

const userAgent = 'Punctual';

/** What belongs to the connection, and what says that a body follows, is not the user's to set. */
const notOwn =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|content-length|upgrade|expect|http2-settings)$/;

/** In small letters, so that the user's stand in the place of ours. */
function ownHeaders(headers: Record<string, string>): Record<string, string> {
  const own: Record<string, string> = { 'user-agent': userAgent };
  for (const [written, value] of Object.entries(headers)) {
    const name = written.toLowerCase();
    if (notOwn.test(name)) continue;
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      throw new FailedCheckError(`the header ${written.slice(0, 60)} that is to be sent is not valid`);
    }
    own[name] = value;
  }
  return own;
}
