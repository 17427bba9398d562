import type { ErrorReading } from '../../net/http.ts';

const accountRefused: ErrorReading = { kind: 'account_refused', scope: 'account' };
const setupRefused: ErrorReading = { kind: 'account_refused', scope: 'provider' };
const rowRejected: ErrorReading = { kind: 'rejected' };

/**
 * The meaning of the `type` of an error with a status below 500. `api/` errors come from Unipile, `provider/` errors from the network behind it.
 * `disconnectedCodes` lists the refusals that a new connection ends, by the page "status-lifecycle". Source:
 * developer.unipile.com/v2.0/reference/error-responses.
 */
export const unipileV2Codes: ReadonlyMap<string, ErrorReading> = new Map<string, ErrorReading>([
  // 401: the API key, which all accounts share, and 402 or 403: the subscription.
  ['api/missing_authorization', setupRefused],
  ['api/expired_authorization', setupRefused],
  ['api/inactive_subscription', setupRefused],
  // A key may be limited to some accounts, so this refuses only the account in the request.
  ['api/insufficient_permissions', accountRefused],
  ['api/invalid_auth_format', accountRefused],

  // 401: the account must be authenticated again.
  ['provider/invalid_authorization', accountRefused],
  ['provider/invalid_credentials', accountRefused],
  ['provider/invalid_checkpoint_code', accountRefused],
  ['provider/account_mismatch', accountRefused],
  ['provider/unknown_authentication_context', accountRefused],
  ['api/proxy_auth_error', accountRefused],
  ['api/account_restricted', accountRefused],

  // 429: Unipile's own limit. The call did not reach the network, and `retry-after` says when to retry.
  ['api/too_many_requests', { kind: 'rate_limited', scope: 'account' }],
  // The network's limit. Its end is unknown, so the account pauses longer each time, and the header is ignored.
  ['provider/too_many_requests', { kind: 'rate_limited', scope: 'account', retryAfterSeconds: null }],

  // 409: an earlier call may have had its effect.
  ['api/conflict', { kind: 'uncertain' }],
  ['provider/conflict', { kind: 'uncertain' }],

  // 400 to 422: the request. Five in a row show that it concerns the whole account.
  ['api/invalid_parameters', rowRejected],
  ['provider/invalid_parameters', rowRejected],
  ['provider/insufficient_permissions', rowRejected],
  ['api/resource_not_found', rowRejected],
  ['provider/resource_not_found', rowRejected],
  ['provider/method_not_allowed', rowRejected],
  ['api/already_exists', rowRejected],
  ['provider/invalid_file', rowRejected],
  ['provider/unprocessable_entity', rowRejected],
]);
