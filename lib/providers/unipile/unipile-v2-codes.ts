import type { ErrorReading } from '../../net/http';

const ofAccount: ErrorReading = { kind: 'account_refused', scope: 'account' };
const ofSetUp: ErrorReading = { kind: 'account_refused', scope: 'provider' };
const ofRow: ErrorReading = { kind: 'rejected' };

/**
 * What the `type` of an error below 500 says, by developer.unipile.com/v2.0/reference/error-responses. `api/` is thrown by Unipile,
 * `provider/` by the network behind it. What `status-lifecycle` mends is in `disconnectedCodes`.
 */
export const unipileV2Codes: ReadonlyMap<string, ErrorReading> = new Map<string, ErrorReading>([
  // 401: the API key, which all accounts share, and 402 or 403: the subscription.
  ['api/missing_authorization', ofSetUp],
  ['api/expired_authorization', ofSetUp],
  ['api/inactive_subscription', ofSetUp],
  // A key may be for some accounts only, so this refuses the one that was asked for.
  ['api/insufficient_permissions', ofAccount],
  ['api/invalid_auth_format', ofAccount],

  // 401: the account has to be authenticated again.
  ['provider/invalid_authorization', ofAccount],
  ['provider/invalid_credentials', ofAccount],
  ['provider/invalid_checkpoint_code', ofAccount],
  ['provider/account_mismatch', ofAccount],
  ['provider/unknown_authentication_context', ofAccount],
  ['api/proxy_auth_error', ofAccount],
  ['api/account_restricted', ofAccount],

  // 429. Unipile's own limit never reached the network: `retry-after` says when to ask again.
  ['api/too_many_requests', { kind: 'rate_limited', scope: 'account' }],
  // The network's: nobody knows when it is over, so the account rests longer each time, whatever a header says.
  ['provider/too_many_requests', { kind: 'rate_limited', scope: 'account', retryAfterSeconds: null }],

  // 409: it may be that it was done before.
  ['api/conflict', { kind: 'uncertain' }],
  ['provider/conflict', { kind: 'uncertain' }],

  // 400 to 422: what was asked for. Of one person as of all: five in a row tell.
  ['api/invalid_parameters', ofRow],
  ['provider/invalid_parameters', ofRow],
  ['provider/insufficient_permissions', ofRow],
  ['api/resource_not_found', ofRow],
  ['provider/resource_not_found', ofRow],
  ['provider/method_not_allowed', ofRow],
  ['api/already_exists', ofRow],
  ['provider/invalid_file', ofRow],
  ['provider/unprocessable_entity', ofRow],
]);
