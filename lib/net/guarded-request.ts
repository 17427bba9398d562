import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { AddressGuard } from './public-address.ts';

export interface GuardedRequest {
  method?: string;
  headers: Record<string, string>;
  /** Sent with its length. Without it the request has no body. */
  body?: string;
  /** Ends the call at any point, also while the response is read. */
  signal: AbortSignal;
}

/**
 * Sends a request to a user's URL, to an address that the guard allows, and follows no redirect. Resolves with the head of the response, whose body
 * the caller reads or destroys. First check `guard.faultOf(url)`, because a URL with an IP address is never looked up. Rejects with `code`
 * PRIVATE_ADDRESS if the host has no public address, and with Node's own errors.
 */
export function guardedRequest(
  url: URL,
  guard: AddressGuard,
  { method = 'GET', headers, body, signal }: GuardedRequest,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    send(url, {
      method,
      // A kept-alive connection may have been made under another guard.
      agent: false,
      lookup: guard.lookupFor(url),
      // By itself Node sends the body of a DELETE without its length.
      headers: body === undefined ? headers : { ...headers, 'content-length': Buffer.byteLength(body) },
      signal,
    })
      .on('response', resolve)
      .on('error', reject)
      // Has no effect if the promise is settled already.
      .on('close', () => reject(new Error('the connection closed without a response')))
      .end(body);
  });
}
