import type { ErrorReading } from '../../net/http.ts';

const accountRefused: ErrorReading = { kind: 'account_refused', scope: 'account' };
const setupRefused: ErrorReading = { kind: 'account_refused', scope: 'provider' };
const rowRejected: ErrorReading = { kind: 'rejected' };
const rateLimited: ErrorReading = { kind: 'rate_limited' };

const daySeconds = 24 * 3_600;

/**
 * The meaning of an error's `code`, for any HTTP status. Source: Meta's "Cloud API error codes" and "Graph API error handling"
 * (developers.facebook.com/docs). For other codes the status decides.
 */
export const whatsappCodes: ReadonlyMap<number, ErrorReading> = new Map<number, ErrorReading>([
  // The token, the app or the API version, which all numbers share: not authenticated, missing capability, retired API, expired session, expired
  // token, unknown path (the response to a version that never existed), retired version.
  [0, setupRefused],
  [3, setupRefused],
  [12, setupRefused],
  [102, setupRefused],
  [190, setupRefused],
  [2500, setupRefused],
  [2635, setupRefused],

  // This number or its business account. Permissions are granted per business account, so another number may have them.
  [10, accountRefused],
  ...Array.from({ length: 100 }, (_, n) => [200 + n, accountRefused] as const),
  // The number was deleted. Also the subcode of code 100 if the number does not exist or the token may not see it.
  [33, accountRefused],
  // Restricted for a policy violation; access denied; locked; display name not approved; payment; certificate; maintenance.
  [368, accountRefused],
  [131005, accountRefused],
  [131031, accountRefused],
  [131037, accountRefused],
  [131042, accountRefused],
  [131045, accountRefused],
  [131057, accountRefused],
  // The number must be verified again; it is not registered.
  [133006, accountRefused],
  [133010, accountRefused],

  [4, rateLimited],
  [80007, rateLimited],
  [130429, rateLimited],
  // One recipient, who may get one message in 6 s. Messages to others may be sent.
  [131056, { kind: 'rate_limited', scope: 'pair' }],
  // The spam limit. More messages make it worse, so the account pauses for a day, and an operator sees why.
  [131048, { kind: 'rate_limited', retryAfterSeconds: daySeconds }],

  // The message or its addressee: an experiment's control group, a country that the business may not write to, a missing or invalid parameter, the
  // sender as recipient, undeliverable, outside the 24-hour window, held back by Meta, unsubscribed, an unsupported type (131051, which many guides
  // call a rate limit), media that cannot be fetched.
  [130472, rowRejected],
  [130497, rowRejected],
  [131008, rowRejected],
  [131009, rowRejected],
  [131021, rowRejected],
  [131026, rowRejected],
  [131047, rowRejected],
  [131049, rowRejected],
  [131050, rowRejected],
  [131051, rowRejected],
  [131052, rowRejected],
  [131053, rowRejected],
  // The template: it does not exist, is paused or disabled, or does not match its parameters.
  ...[132000, 132001, 132005, 132007, 132012, 132015, 132016].map((code) => [code, rowRejected] as const),
]);
