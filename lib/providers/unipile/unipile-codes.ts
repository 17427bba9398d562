import type { ErrorReading } from '../../net/http.ts';

const accountRefused: ErrorReading = { kind: 'account_refused', scope: 'account' };
const setupRefused: ErrorReading = { kind: 'account_refused', scope: 'provider' };
const rowRejected: ErrorReading = { kind: 'rejected' };

/**
 * The meaning of the `type` of an error with a status below 500. From 500 on the call may have had its effect, whatever the type says. For other
 * types the status decides. Source: Unipile's reference of API v1 (developer.unipile.com/reference: the errors of "Send a message in a chat",
 * "Start a new chat", "Create a post").
 */
export const unipileCodes: ReadonlyMap<string, ErrorReading> = new Map<string, ErrorReading>([
  // 401: the API key, which all accounts share.
  ['errors/missing_credentials', setupRefused],
  ['errors/insufficient_privileges', setupRefused],

  // 401: the account must be connected again. `disconnectedCodes` lists the refusals that this ends.
  ['errors/disconnected_account', accountRefused],
  ['errors/disconnected_feature', accountRefused],
  ['errors/invalid_credentials', accountRefused],
  ['errors/expired_credentials', accountRefused],
  ['errors/invalid_proxy_credentials', accountRefused],
  ['errors/wrong_account', accountRefused],
  ['errors/multiple_sessions', accountRefused],
  ['errors/invalid_checkpoint_solution', accountRefused],
  ['errors/checkpoint_error', accountRefused],
  ['errors/captcha_not_supported', accountRefused],
  ['errors/expired_link', accountRefused],
  // 403: the network has restricted the account, or requires an action of its owner.
  ['errors/account_restricted', accountRefused],
  ['errors/account_mismatch', accountRefused],
  ['errors/insufficient_permissions', accountRefused],
  ['errors/session_mismatch', accountRefused],
  ['errors/unknown_authentication_context', accountRefused],
  ['errors/action_required', accountRefused],
  ['errors/feature_not_subscribed', accountRefused],
  ['errors/subscription_required', accountRefused],
  // 422
  ['errors/unauthorized', accountRefused],
  ['errors/account_configuration_error', accountRefused],

  // 422: too much was sent. None of these has a header with the time to wait.
  ['errors/limit_exceeded', { kind: 'rate_limited', scope: 'account', retryAfterSeconds: 3_600 }],
  ['errors/cannot_resend_yet', { kind: 'rate_limited', scope: 'pair', retryAfterSeconds: 3_600 }],
  ['errors/cannot_resend_within_24hrs', { kind: 'rate_limited', scope: 'pair', retryAfterSeconds: 86_400 }],

  // 400, 413, 415: the request.
  ['errors/invalid_parameters', rowRejected],
  ['errors/missing_parameters', rowRejected],
  ['errors/content_too_large', rowRejected],
  ['errors/unsupported_media_type', rowRejected],
  // 403: one chat or one person. The account's other rows are not affected.
  ['errors/resource_access_restricted', rowRejected],
  // 404: also an account that Unipile does not know. Five in a row then pause the account.
  ['errors/resource_not_found', rowRejected],
  ['errors/invalid_resource_identifier', rowRejected],
  // 422: this message, or its addressee. `invalid_account`: the account cannot do this one thing.
  ['errors/invalid_account', rowRejected],
  ['errors/invalid_recipient', rowRejected],
  ['errors/no_connection_with_recipient', rowRejected],
  ['errors/blocked_recipient', rowRejected],
  ['errors/user_unreachable', rowRejected],
  ['errors/unprocessable_entity', rowRejected],
  ['errors/action_already_performed', rowRejected],
  ['errors/invalid_message', rowRejected],
  ['errors/invalid_post', rowRejected],
  ['errors/not_allowed_inmail', rowRejected],
  ['errors/insufficient_credits', rowRejected],
  ['errors/cant_send_message', rowRejected],
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
