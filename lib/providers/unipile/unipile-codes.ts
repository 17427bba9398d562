import type { ErrorReading } from '../../net/http';

const ofAccount: ErrorReading = { kind: 'account_refused', scope: 'account' };
const ofSetUp: ErrorReading = { kind: 'account_refused', scope: 'provider' };
const ofRow: ErrorReading = { kind: 'rejected' };

/**
 * What the `type` of an error below 500 says, by Unipile's reference of API v1 (developer.unipile.com/reference: the errors of "Send a
 * message in a chat", "Start a new chat", "Create a post"). From 500 on the call may have been carried out, whatever the type is. A type
 * that is not here leaves it to the status.
 */
export const unipileCodes: ReadonlyMap<string, ErrorReading> = new Map<string, ErrorReading>([
  // 401: the API key, which all accounts share.
  ['errors/missing_credentials', ofSetUp],
  ['errors/insufficient_privileges', ofSetUp],

  // 401: the account has to be connected again. `disconnectedCodes` has what that mends.
  ['errors/disconnected_account', ofAccount],
  ['errors/disconnected_feature', ofAccount],
  ['errors/invalid_credentials', ofAccount],
  ['errors/expired_credentials', ofAccount],
  ['errors/invalid_proxy_credentials', ofAccount],
  ['errors/wrong_account', ofAccount],
  ['errors/multiple_sessions', ofAccount],
  ['errors/invalid_checkpoint_solution', ofAccount],
  ['errors/checkpoint_error', ofAccount],
  ['errors/captcha_not_supported', ofAccount],
  ['errors/expired_link', ofAccount],
  // 403: the network has restricted the account, or asks its owner for something.
  ['errors/account_restricted', ofAccount],
  ['errors/account_mismatch', ofAccount],
  ['errors/insufficient_permissions', ofAccount],
  ['errors/session_mismatch', ofAccount],
  ['errors/unknown_authentication_context', ofAccount],
  ['errors/action_required', ofAccount],
  ['errors/feature_not_subscribed', ofAccount],
  ['errors/subscription_required', ofAccount],
  // 422
  ['errors/unauthorized', ofAccount],
  ['errors/account_configuration_error', ofAccount],

  // 422: how much was sent, not this message. None comes with a header that says how long.
  ['errors/limit_exceeded', { kind: 'rate_limited', scope: 'account', retryAfterSeconds: 3_600 }],
  ['errors/cannot_resend_yet', { kind: 'rate_limited', scope: 'pair', retryAfterSeconds: 3_600 }],
  ['errors/cannot_resend_within_24hrs', { kind: 'rate_limited', scope: 'pair', retryAfterSeconds: 86_400 }],

  // 400, 413, 415: what was asked for.
  ['errors/invalid_parameters', ofRow],
  ['errors/missing_parameters', ofRow],
  ['errors/content_too_large', ofRow],
  ['errors/unsupported_media_type', ofRow],
  // 403: one chat or one person, beside which the account's others go on.
  ['errors/resource_access_restricted', ofRow],
  // 404: also an account that Unipile does not know, which five in a row tell.
  ['errors/resource_not_found', ofRow],
  ['errors/invalid_resource_identifier', ofRow],
  // 422: this message, or its addressee. `invalid_account`: the account cannot do this one thing.
  ['errors/invalid_account', ofRow],
  ['errors/invalid_recipient', ofRow],
  ['errors/no_connection_with_recipient', ofRow],
  ['errors/blocked_recipient', ofRow],
  ['errors/user_unreachable', ofRow],
  ['errors/unprocessable_entity', ofRow],
  ['errors/action_already_performed', ofRow],
  ['errors/invalid_message', ofRow],
  ['errors/invalid_post', ofRow],
  ['errors/not_allowed_inmail', ofRow],
  ['errors/insufficient_credits', ofRow],
  ['errors/cant_send_message', ofRow],
]);

/** The refusals of either version that end once the account is connected again. */
export const disconnectedCodes = [
  'errors/disconnected_account',
  'errors/disconnected_feature',
  'errors/invalid_credentials',
  'errors/expired_credentials',
  'errors/invalid_checkpoint_solution',
  'errors/checkpoint_error',
  'provider/invalid_authorization',
  'provider/invalid_credentials',
  'provider/invalid_checkpoint_code',
];
