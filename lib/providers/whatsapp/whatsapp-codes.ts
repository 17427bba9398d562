import type { ErrorReading } from '../../net/http';

const ofAccount: ErrorReading = { kind: 'account_refused', scope: 'account' };
const ofSetUp: ErrorReading = { kind: 'account_refused', scope: 'provider' };
const ofRow: ErrorReading = { kind: 'rejected' };
const tooMuch: ErrorReading = { kind: 'rate_limited' };

const daySeconds = 24 * 3_600;

/**
 * What the `code` of an error says, whatever its status is, by Meta's "Cloud API error codes" and "Graph API error handling"
 * (developers.facebook.com/docs). A code that is not here leaves it to the status.
 */
export const whatsappCodes: ReadonlyMap<number, ErrorReading> = new Map<number, ErrorReading>([
  // The token, the app or the version of the API, which all numbers share: not authenticated, no such capability, an API that is
  // retired, session expired, token expired, no such path (how a version that never was is answered), a version that is retired.
  [0, ofSetUp],
  [3, ofSetUp],
  [12, ofSetUp],
  [102, ofSetUp],
  [190, ofSetUp],
  [2500, ofSetUp],
  [2635, ofSetUp],

  // This number or its business account. Permissions are granted by business account, so another number may have them.
  [10, ofAccount],
  ...Array.from({ length: 100 }, (_, n) => [200 + n, ofAccount] as const),
  // The number was deleted; also the subcode that code 100 has where the number does not exist or the token may not see it.
  [33, ofAccount],
  // Restricted for a violation of policy; access denied; locked; its name is not approved; payment; certificate; maintenance.
  [368, ofAccount],
  [131005, ofAccount],
  [131031, ofAccount],
  [131037, ofAccount],
  [131042, ofAccount],
  [131045, ofAccount],
  [131057, ofAccount],
  // The number is to be verified again; it is not registered.
  [133006, ofAccount],
  [133010, ofAccount],

  [4, tooMuch],
  [80007, tooMuch],
  [130429, tooMuch],
  // One recipient, who gets a message in 6 s; the others may go on.
  [131056, { kind: 'rate_limited', scope: 'pair' }],
  // The spam limit: going on makes it worse, so the account rests for a day, and an operator sees why.
  [131048, { kind: 'rate_limited', retryAfterSeconds: daySeconds }],

  // The message or its addressee: an experiment's control group, a country that the business may not write to, a missing or a wrong
  // parameter, the sender himself, not to be reached, outside the 24-hour window, kept back by Meta, unsubscribed, a type that is not
  // supported (131051, which many guides call a rate limit), media that cannot be fetched.
  [130472, ofRow],
  [130497, ofRow],
  [131008, ofRow],
  [131009, ofRow],
  [131021, ofRow],
  [131026, ofRow],
  [131047, ofRow],
  [131049, ofRow],
  [131050, ofRow],
  [131051, ofRow],
  [131052, ofRow],
  [131053, ofRow],
  // The template: it is not there, paused or disabled, or does not go with its parameters.
  ...[132000, 132001, 132005, 132007, 132012, 132015, 132016].map((code) => [code, ofRow] as const),
]);
